"""The configurations of all denoisers, told apart by their ``kind``; the paper's where none is given."""

from typing import Annotated

from pydantic import Tag

from ssldm.config import by_kind
from ssldm.model.stacked_denoiser import StackedDenoiserConfig
from ssldm.paper.denoiser import DenoiserConfig

AnyDenoiserConfig = Annotated[
    Annotated[DenoiserConfig, Tag("stc")] | Annotated[StackedDenoiserConfig, Tag("stacked")],
    by_kind("stc"),
]
