"""Every number that the training of a prior depends on."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from ssldm.config import Config
from ssldm.training.optimisation_config import OptimisationConfig


class PriorTraining(Config):
    """The training of a prior.

    Attributes:
        size: side of a window in pixels.
        coarsenings: block averages that windows are taken from.
        intensity: deviation of the logarithm of a factor that makes a window's rain weaker or stronger.
        leads: lead times of each window that enter a step, drawn anew.
        members: of the ensembles whose fair CRPS is trained.
        scales: sides in pixels of the squares whose means enter it, 1 for the pixels themselves.
        levels: of halved resolution, of the loss of differences between scales.
        texture: weight of that loss.
        error_batches: from which the usual error of the extrapolation of each product is taken.
        openings: most starts of windows of a product in a pack, see `ssldm.training.pack`.
        optimisation: steps and rates.
    """

    size: PositiveInt = 128
    coarsenings: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2)
    intensity: NonNegativeFloat = 0.25
    leads: PositiveInt = 4
    members: int = Field(default=2, ge=2)
    scales: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 4, 16)
    levels: PositiveInt = 5
    texture: NonNegativeFloat = 3.0
    error_batches: PositiveInt = 12
    openings: PositiveInt = 130
    optimisation: OptimisationConfig

    @model_validator(mode="after")
    def _squares_fit(self) -> Self:
        if max(self.scales) > self.size:
            raise ValueError(f"expected scales of at most size={self.size}, found {max(self.scales)}")
        if self.size % 2**self.levels:
            raise ValueError(
                f"expected a size that can be halved levels={self.levels} times, found {self.size}"
            )
        return self
