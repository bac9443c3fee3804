"""The configurations of all denoisers, told apart by their ``kind``."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Discriminator, Tag

from ssldm.nn.denoiser import DenoiserConfig
from ssldm.nn.stacked_denoiser import StackedDenoiserConfig


def _kind(value: object) -> str:
    """The paper's where none is given."""
    found = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return str(found or "stc")


AnyDenoiserConfig = Annotated[
    Annotated[DenoiserConfig, Tag("stc")] | Annotated[StackedDenoiserConfig, Tag("stacked")],
    Discriminator(_kind),
]
