"""Every number that the training of a prior depends on."""

from pydantic import NonNegativeFloat, PositiveInt

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
        texture: its weight.
        error_batches: from which the usual error of the extrapolation of each product is taken.
        optimisation: steps and rates.
    """

    size: PositiveInt = 128
    coarsenings: tuple[PositiveInt, ...] = (1, 2)
    intensity: NonNegativeFloat = 0.25
    leads: PositiveInt = 4
    members: PositiveInt = 2
    scales: tuple[PositiveInt, ...] = (1, 4, 16, 64)
    levels: PositiveInt = 5
    texture: NonNegativeFloat = 5.0
    error_batches: PositiveInt = 12
    optimisation: OptimisationConfig
