"""The reference pages have every key and every public name, each with a meaning."""

import importlib.util
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ssldm
from ssldm import errors
from ssldm.config import Config
from ssldm.model.latent_diffusion import ModelConfig
from ssldm.model.storm_model import StormConfig
from ssldm.products.accessor import NowcastAccessor
from ssldm.products_config import ProductsConfig
from ssldm.service.config import ServiceConfig
from ssldm.training.preset import Preset

ROOT = Path(__file__).parents[1]
# And the anchors that they stand under.
CONFIGURATIONS = {
    Preset: "training-preset",
    StormConfig: "model-with-a-prior",
    ModelConfig: "model-with-a-denoiser",
    ProductsConfig: "products",
    ServiceConfig: "service",
}


def load_hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def marker(config: type[Config]) -> str:
    return f"<!-- configuration {config.__module__}:{config.__name__} -->"


class Page(HTMLParser):
    """A built page by its anchors: the links under each, and the meaning of each key in its table."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.meanings: dict[str, dict[str, str]] = {}
        self.links: dict[str, list[str]] = {}
        self.anchor = ""
        self.row: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if given.get("id"):
            self.anchor = given["id"]
            self.meanings[self.anchor], self.links[self.anchor] = {}, []
        if tag == "tr":
            self.row = []
        elif tag == "td":
            self.row.append("")
        elif tag == "a" and self.row is None and given.get("href", "").startswith("#"):
            self.links[self.anchor].append(given["href"][1:])

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            if self.row:
                key, *_, meaning = (cell.strip() for cell in self.row)
                self.meanings[self.anchor][key] = meaning
            self.row = None

    def handle_data(self, data: str) -> None:
        if self.row:
            self.row[-1] += data

    def keys_under(self, anchor: str) -> dict[str, str]:
        """The table under an anchor, or under the one that it refers to."""
        return self.meanings[anchor] or self.meanings[self.links[anchor][-1]]


def keys_of(config: type[Config]) -> Iterator[tuple[str, str]]:
    """Each key of a configuration, with the anchor of its section, as pydantic's JSON schema has them."""
    schema = config.model_json_schema()

    def sections(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "$ref" in node:
            yield schema["$defs"][node["$ref"].rpartition("/")[2]]
        items = [node["items"]] if "items" in node else []
        for part in (*node.get("oneOf", ()), *node.get("anyOf", ()), *items):
            yield from sections(part)

    def walk(node: dict[str, Any], keys: tuple[str, ...], kinds: list[str]) -> Iterator[tuple[str, str]]:
        for key, value in node["properties"].items():
            yield "-".join([config.__name__.lower(), *keys, *kinds]), key
            held = list(sections(value))
            for section in held:
                kind = [section["properties"]["kind"]["const"]] if len(held) > 1 else []
                yield from walk(section, (*keys, key), kind)

    yield from walk(schema, (), [])


def undocumented(page: Page, config: type[Config], top: str) -> list[str]:
    """The keys of a configuration without a meaning, those that are not in any section under ``top``."""
    root = config.__name__.lower()
    return [
        f"{anchor}: {key}"
        for anchor, key in keys_of(config)
        if not page.keys_under(top if anchor == root else anchor).get(key)
    ]


def missing(page: Page, names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in page.meanings]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference pages as mkdocs builds them, and nothing else."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        config = load_config(
            str(ROOT / "mkdocs.yml"), docs_dir="docs/reference", site_dir=str(folder), nav=None
        )
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    return folder


def read(site: Path, name: str) -> Page:
    return Page((site / name / "index.html").read_text())


@pytest.mark.parametrize(("config", "top"), CONFIGURATIONS.items())
def test_every_key_has_a_meaning(site: Path, config: type[Config], top: str) -> None:
    assert marker(config) in (ROOT / "docs" / "reference" / "configuration.md").read_text()
    assert undocumented(read(site, "configuration"), config, top) == []


def test_keys_are_those_that_a_preset_can_set() -> None:
    keys = set(keys_of(Preset))
    assert ("preset-denoiser-merge_net", "pixels") in keys
    assert ("preset-autoencoder-block", "separation") in keys
    assert ("preset-postprocess", "power") in keys


class Inner(Config):
    """A section.

    Attributes:
        known: a
            meaning | another.
    """

    known: int = 1
    unknown: int = 2


class Outer(Config):
    """A whole."""

    inner: Inner = Inner(known=3)
    others: tuple[Inner, ...] = ()


def test_a_key_without_a_meaning_is_found() -> None:
    from markdown import markdown

    text = load_hooks().on_page_markdown(f"## Whole\n\n{marker(Outer)}")
    page = Page(markdown(text, extensions=["attr_list", "tables", "toc"]))
    assert page.keys_under("outer-inner") == {"known": "a meaning | another.", "unknown": ""}
    assert undocumented(page, Outer, "whole") == [
        "outer: inner",
        "outer-inner: unknown",
        "outer: others",
        "outer-others: unknown",
    ]
    assert "| `inner` | [section](#outer-inner) | `{known: 3}` |" in text


def test_the_api_page_has_every_public_name(site: Path) -> None:
    page = read(site, "api")
    accessor = [name for name in vars(NowcastAccessor) if not name.startswith("_")]
    assert "scenarios" in accessor
    assert not missing(page, (f"ssldm.{name}" for name in ssldm.__all__))
    assert not missing(page, (f"ssldm.products.accessor.NowcastAccessor.{name}" for name in accessor))
    assert not missing(page, (f"ssldm.errors.{name}" for name in vars(errors) if not name.startswith("_")))
    assert not missing(
        page, (f"ssldm.Nowcaster.{name}" for name in ("from_pretrained", "nowcast", "save_pretrained"))
    )
    assert missing(page, ["ssldm.nonesuch"]) == ["ssldm.nonesuch"]
