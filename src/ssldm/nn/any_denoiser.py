"""The configurations of all denoisers, told apart by their ``kind``; the paper's where none is given."""

from typing import Annotated

from pydantic import Tag

from ssldm.config import by_kind
from ssldm.nn.denoiser import DenoiserConfig
from ssldm.nn.stacked_denoiser import StackedDenoiserConfig

AnyDenoiserConfig = Annotated[
    Annotated[DenoiserConfig, Tag("stc")] | Annotated[StackedDenoiserConfig, Tag("stacked")],
    by_kind("stc"),
]
