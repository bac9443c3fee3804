"""What mkdocs calls while it builds this documentation: tables of configurations, links among docstrings."""

import json
import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import BaseMetadata, Ge, Gt, Le, Lt, MinLen, MultipleOf
from pydantic import AfterValidator, Discriminator, Tag
from pydantic.fields import FieldInfo

from ssldm.config import Config

MARKER = re.compile(r"<!-- configuration (?P<module>[\w.]+):(?P<name>\w+) -->")
SCALARS = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    types.NoneType: "`null`",
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables of a configuration where ``<!-- configuration module:Class -->`` stands."""
    reference = Reference()

    def tables(marker: re.Match[str]) -> str:
        return reference.of(getattr(import_module(marker["module"]), marker["name"]))

    return MARKER.sub(tables, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Link names in ``code`` to where the same page has them; errors and public names need no module."""
    targets = set(re.findall(r'id="(ssldm\.[\w.]+)"', html))

    def linked(code: re.Match[str]) -> str:
        for name in (code["name"], f"ssldm.{code['name']}", f"ssldm.errors.{code['name']}"):
            if name in targets:
                return f'<a href="#{name}">{code[0]}</a>'
        return code[0]

    return re.sub(r"(?<!>)<code>(?P<name>[A-Za-z_][\w.]*)</code>", linked, html)


@dataclass(frozen=True)
class Section:
    """A configuration at the place where it stands in another.

    Attributes:
        root: the outermost configuration.
        keys: dotted, that lead to it.
        config: what it is.
        kind: by which it is told apart from others that may stand there, "" if there are none.
    """

    root: type[Config]
    keys: str
    config: type[Config]
    kind: str = ""

    @property
    def title(self) -> str:
        return f"`{self.keys}`, kind `{self.kind}`" if self.kind else f"`{self.keys}`"

    @property
    def anchor(self) -> str:
        return "-".join([self.root.__name__, *self.keys.split("."), *filter(None, [self.kind])]).lower()

    def inner(self, key: str) -> list["Section"]:
        """The configurations that may stand at a key."""
        keys = f"{self.keys}.{key}" if self.keys else key
        held = _configurations(self.config.model_fields[key].annotation)
        return [Section(self.root, keys, config, kind) for kind, config in held]


@dataclass
class Reference:
    """The configurations of one page; each is tabulated where it comes first, and linked from there on."""

    tabulated: dict[type[Config], Section] = field(default_factory=dict)

    def of(self, root: type[Config]) -> str:
        """What a configuration is, its keys, and those of all sections in it, in Markdown."""
        whole = Section(root, "", root)
        parts = [_description(root), *_table(whole)]
        titles: set[str] = set()
        for section in _sections(whole):
            if section.title not in titles:
                titles.add(section.title)
                parts += [f"### {section.title} {{ #{section.anchor} }}", *self._content(section)]
        return "\n\n".join(parts)

    def _content(self, section: Section) -> Iterator[str]:
        first = self.tabulated.setdefault(section.config, section)
        yield _description(section.config)
        if first is section:
            yield from _table(section)
        else:
            yield f"The keys of [{first.title}](#{first.anchor})."


def _sections(within: Section) -> Iterator[Section]:
    for key in within.config.model_fields:
        for section in within.inner(key):
            yield section
            yield from _sections(section)


def _table(section: Section) -> Iterator[str]:
    meaning = meanings(section.config)
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, info in section.config.model_fields.items():
        value = _linked(section.inner(key), info) or _words(info.annotation, info.metadata)
        rows.append(f"| `{key}` | {value} | {_default(info)} | {meaning.get(key, '')} |")
    yield "\n".join(rows)


def meanings(config: type[Config]) -> dict[str, str]:
    """What the docstrings of a configuration and of those that it extends say of each key, in a line."""
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__):
        _, _, after = _docstring(owner).partition("\nAttributes:\n")
        attributes, *_ = re.split(r"^(?=\S)", after, maxsplit=1, flags=re.MULTILINE)
        for entry in re.split(r"^    (?=\S)", attributes, flags=re.MULTILINE):
            names, _, text = entry.partition(":")
            line = " ".join(text.split()).replace("|", r"\|")
            found |= dict.fromkeys(re.split(r",\s*", names), line)
    return found


def _description(config: type[Config]) -> str:
    return _docstring(config).partition("\nAttributes:")[0].strip()


def _docstring(owner: type) -> str:
    return cleandoc(vars(owner).get("__doc__") or "")


def _linked(sections: Sequence[Section], info: FieldInfo) -> str:
    """The value of a key that holds sections; nothing of any other."""
    if not sections:
        return ""
    if sections[0].kind:
        kinds = [f"[`{each.kind}`](#{each.anchor})" for each in sections]
        return f"section of kind {_alternatives(kinds)}; `{_usual_kind(info)}` where none is given"
    name = "list of sections" if get_origin(info.annotation) is tuple else "section"
    return f"[{name}](#{sections[0].anchor})"


def _configurations(annotation: Any) -> Iterator[tuple[str, type[Config]]]:
    """The configurations in an annotation, by their kind."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield "", annotation
        return
    tags = [mark.tag for mark in get_args(annotation)[1:] if isinstance(mark, Tag)]
    for argument in get_args(annotation):
        yield from (("".join(tags) or kind, config) for kind, config in _configurations(argument))


def _usual_kind(info: FieldInfo) -> str:
    marks = [mark for mark in info.metadata if isinstance(mark, Discriminator)]
    return str(marks[0].discriminator({})) if marks and callable(marks[0].discriminator) else ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True)
    text = _yaml(default)
    return "those of its keys" if isinstance(default, Config) and text == "{}" else f"`{text}`"


def _yaml(value: Any) -> str:
    """A value as it is written in a file, a section by its values that are not the usual ones."""
    match value:
        case Config():
            fields = type(value).model_fields
            values = {key: getattr(value, key) for key in fields}
            return _yaml({key: each for key, each in values.items() if each != fields[key].default})
        case dict():
            return "{" + ", ".join(f"{key}: {_yaml(each)}" for key, each in value.items()) + "}"
        case tuple():
            return "[" + ", ".join(map(_yaml, value)) + "]"
        case str() | Path():
            return str(value)
    return json.dumps(value)


def _words(annotation: Any, marks: Sequence[Any] = ()) -> str:
    """What values an annotation allows."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [each for mark in arguments[1:] for each in getattr(mark, "metadata", [mark])]
        return _words(arguments[0], [*inner, *marks])
    if origin is Literal:
        return _alternatives([f"`{_yaml(each)}`" for each in arguments])
    if origin in {Union, types.UnionType}:
        return _alternatives([_words(each, marks) for each in arguments])
    if origin is dict:
        return "mapping of {} to {}".format(*map(_words, arguments))
    if origin is tuple:
        items = ", ".join("…" if each is Ellipsis else _words(each) for each in arguments)
        return f"[{items}]{_bounds(marks)}"
    return SCALARS[annotation] + _bounds(marks)


def _alternatives(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if words[1:] else words[0]


def _bounds(marks: Sequence[BaseMetadata]) -> str:
    limits, others = [], [""]
    for mark in marks:
        match mark:
            case Gt(gt=bound):
                limits.append(f" > {bound:.12g}")
            case Ge(ge=bound):
                limits.append(f" ≥ {bound:.12g}")
            case Lt(lt=bound):
                limits.append(f" < {bound:.12g}")
            case Le(le=bound):
                limits.append(f" ≤ {bound:.12g}")
            case MultipleOf(multiple_of=step):
                others.append(f"a multiple of {step}")
            case MinLen(min_length=1):
                others.append("not empty")
            case AfterValidator(func=check):
                others.append(str(check.__doc__))
            case _ if getattr(mark, "pattern", None):
                others.append(f"`{mark.pattern}`".replace("|", "\\|"))
            case _:
                raise TypeError(f"expected a bound that there are words for, found {mark!r}")
    return " and".join(limits) + ", ".join(others)
