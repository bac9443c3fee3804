"""The base of every configuration: immutable, strict, and able to say where it is wrong."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError


class Config(BaseModel):
    """A frozen configuration; an unknown key is an error, so that a misspelt one is not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def by_kind(default: str) -> Discriminator:
    """Tells the members of a union of configurations apart by their ``kind``, where one is given."""

    def kind(value: object) -> str:
        found = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
        return str(found or default)

    return Discriminator(kind)


def first_fault(error: ValidationError, config: type[Config]) -> str:
    """The fault of a configuration that explains the others, in one line.

    A misspelt key comes first: what then seems to be missing may be what it stands for.

    Args:
        error: of the validation.
        config: what was validated.
    """
    faults = error.errors()
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    keys, place = _place(config, first["loc"])
    key, found, context = ".".join(keys), first["input"], first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            fault = f"no such key; {_alternatives(config, keys, place)}"
        case "missing":
            fault = "expected a value, found none"
        case "value_error":  # of our own validators, which say what they found
            fault = str(context["error"])
        case "literal_error":
            fault = _not_among(context["expected"], found)
        case "union_tag_invalid":
            key, fault = f"{key}.kind", _not_among(context["expected_tags"], context["tag"])
        case "model_type" | "model_attributes_type":
            fault = f"expected a section of keys, found {found!r}"
        case "too_short":
            fault = f"expected at least {context['min_length']} of them, found {found!r}"
        case _:
            fault = f"{first['msg'].replace('Input should be', 'expected')}, found {found!r}"
    return f"{key}: {fault}" if key else fault


def suggestion(word: str, choices: Sequence[str]) -> str:
    """What to add to a message about a word that is none of the choices: the nearest of them, or nothing."""
    found = get_close_matches(word, choices, n=1)
    return f"; did you mean {found[0]}?" if found else ""


@dataclass(frozen=True)
class _Place:
    """What a key stands in: which of the configurations, by their kind, that may stand there."""

    sections: Mapping[str, type[Config]]
    kind: str = ""

    @property
    def keys(self) -> list[str]:
        found = self.sections.get(self.kind)
        return [] if found is None else list(found.model_fields)


def _place(config: type[Config], location: Sequence[int | str]) -> tuple[list[str], _Place]:
    """The keys that lead to a place, and what the last of them stands in."""
    keys: list[str] = []
    place = here = _Place({"": config})
    for part in location:
        if keys and "" not in here.sections and part in here.sections:
            here = replace(here, kind=str(part))  # pydantic names the member of a union as if it were a key
            continue
        keys.append(str(part))
        place, section = here, here.sections.get(here.kind)
        field = None if section is None else section.model_fields.get(str(part))
        here = _Place({} if field is None else dict(_sections(field.annotation)))
    return keys, place


def _sections(annotation: Any) -> Iterator[tuple[str, type[Config]]]:
    """The configurations that a field may hold, by their kind, "" where there is but one."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield "", annotation
    elif get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        tag = next((mark.tag for mark in metadata if isinstance(mark, Tag)), "")
        yield from ((tag or kind, found) for kind, found in _sections(inner))
    else:
        for argument in get_args(annotation):
            yield from _sections(argument)


def _dotted(config: type[Config], before: str = "") -> Iterator[str]:
    """All keys of a configuration and of what it holds."""
    for name, field in config.model_fields.items():
        yield f"{before}{name}"
        for _, section in _sections(field.annotation):
            yield from _dotted(section, f"{before}{name}.")


def _alternatives(config: type[Config], keys: Sequence[str], place: _Place) -> str:
    """The keys that may be meant by one that is not there, else those that are."""
    above, before = ".".join(keys[:-1]), ".".join([*keys[:-1], ""])
    if others := [kind for kind, section in place.sections.items() if keys[-1] in section.model_fields]:
        return f"it is one of kind {others[0]}: give {above}={{kind: {place.kind}, …}} whole"
    if near := get_close_matches(keys[-1], place.keys, n=2):
        return f"did you mean {' or '.join(before + name for name in near)}?"
    paths = list(dict.fromkeys(_dotted(config)))
    names = [path.rpartition(".")[2] for path in paths]
    if near := get_close_matches(keys[-1], names, n=1, cutoff=0.8):
        meant = [path for path, name in zip(paths, names, strict=True) if name == near[0]]
        return f"did you mean {' or '.join(meant)}?"
    return f"expected one of {', '.join(place.keys)}"


def _not_among(quoted: str, found: object) -> str:
    """That something is none of the choices, which pydantic gives as text in quotation marks."""
    nearest = suggestion(found, re.findall(r"'([^']*)'", quoted)) if isinstance(found, str) else ""
    return f"expected {quoted}, found {found!r}{nearest}"
