"""The base of every configuration: immutable, strict, and able to say where it is wrong."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Discriminator, ValidationError


class Config(BaseModel):
    """A frozen configuration; an unknown key is an error, so that a misspelt one is not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_fault(error: ValidationError) -> str:
    """The first fault of a configuration in one line."""
    first = error.errors()[0]
    keys = [str(key) for key in first["loc"] if key not in _TAGS]
    return f"{'.'.join(keys)}: {first['msg']}, found {first['input']!r}"


def by_kind(default: str) -> Discriminator:
    """Tells the members of a union of configurations apart by their ``kind``, where one is given."""

    def kind(value: object) -> str:
        found = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
        return str(found or default)

    return Discriminator(kind)


# Pydantic names the member of a union of configurations as if it were a key.
_TAGS = ("stc", "stacked", "kl", "block")
