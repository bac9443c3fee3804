"""The base of every configuration: immutable, strict, and able to say where it is wrong."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen configuration; an unknown key is an error, so that a misspelt one is not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
