"""The text of a preset, and what is overridden in it."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ssldm.atomic import replacing
from ssldm.config import Config, suggestion
from ssldm.errors import ConfigurationError

PRESETS = ("paper", "paper-small", "base", "small", "tiny")


def read_preset(name: str) -> dict[str, Any]:
    """The sections of a shipped preset by name, or of one in a file.

    Raises:
        ConfigurationError: no such preset, or a file of something else.
    """
    path = Path(name)
    if name in PRESETS:
        text = (files("ssldm") / "presets" / f"{name}.yaml").read_text()
    elif path.is_file():
        try:
            text = path.read_text()
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{name}: expected YAML, found what is no text") from error
    else:
        raise ConfigurationError(
            f"expected a preset ({', '.join(PRESETS)}) or a file, found {name!r}{suggestion(name, PRESETS)}"
        )
    tree = _parse(text, name)
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else f"a {type(tree).__name__}"
        raise ConfigurationError(f"{name}: expected sections of keys, found {found}")
    if strange := [key for key in tree if not isinstance(key, str)]:
        raise ConfigurationError(f"{name}: expected names of sections, found {strange[0]!r}")
    return tree


def override(tree: dict[str, Any], text: str, config: type[Config]) -> None:
    """Set what ``section.key=value`` says, the value in YAML; the section's other keys stay what they are.

    Args:
        tree: sections.
        text: the override.
        config: what the sections are of, with the defaults of those that are not in the tree.

    Raises:
        ConfigurationError: something else.
    """
    key, separator, value = text.partition("=")
    *sections, last = key.split(".")
    if not separator or not all((*sections, last)):
        raise ConfigurationError(f"expected key=value, found {text!r}")
    holder: type[Config] | None = config
    for section in sections:
        field = None if holder is None else holder.model_fields.get(section)
        default = None if field is None else field.default
        holder = type(default) if isinstance(default, Config) else None
        if tree.get(section) is None:
            tree[section] = default.model_dump() if isinstance(default, Config) else {}
        tree = tree[section]
        if not isinstance(tree, dict):
            raise ConfigurationError(f"{text!r}: {section!r} is not a section")
    tree[last] = _parse(value, text)


def write_preset(out: Path, preset: Config) -> None:
    """Write what a run is of to its folder."""
    with replacing(out / "preset.yaml") as aside:
        aside.write_text(yaml.safe_dump(preset.model_dump(mode="json"), sort_keys=False))


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where}: expected YAML ({' '.join(str(error).split())})") from error
