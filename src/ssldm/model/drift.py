"""Members whose rain drifts from where it is expected: motion is not known well, and cells come up beside others.

Ours, not the paper's. STEPS disturbs the motion of each member, too, by one vector for the whole domain (Bowler
et al. 2006). Here it is a smooth random field, so that each shower is somewhere else in each member, whole:
what is unknown of small scales then needs no noise that tears rain apart.
"""


import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from ssldm.config import Config
from ssldm.forecast.advection import Region, carry, sample_at
from ssldm.model.gaussian_blur import gaussian_blur

_TRUNCATE = 2.5
# Deviations that no drift exceeds.
MOST = 3.0


class DriftConfig(Config):
    """Random drift.

    Attributes:
        reach: deviation in pixels of the Gaussian that it is smoothed by.
        spacing: pixels between the places that it is drawn at.
    """

    reach: PositiveFloat = 32.0
    spacing: PositiveInt = 16


def drift_directions(
    count: int, height: int, width: int, config: DriftConfig, generator: torch.Generator
) -> Tensor:
    """Fields ``(n, 2, h', w')`` of unit variance, x then y, at every so many-th pixel of a domain."""
    deviation = config.reach / config.spacing
    edge = round(_TRUNCATE * deviation)
    rows, columns = (-(-(max(size, 2) - 1) // config.spacing) + 1 for size in (height, width))
    white = torch.randn(
        count, 2, rows + 2 * edge, columns + 2 * edge, generator=generator, device=generator.device
    )
    smooth = gaussian_blur(white, deviation, _TRUNCATE)[..., edge : edge + rows, edge : edge + columns]
    distance = torch.arange(-edge, edge + 1) / deviation
    weights = torch.exp(-0.5 * distance.square())
    weights = weights / weights.sum()
    return (smooth / weights.square().sum()).clamp(-MOST, MOST)


def drifted(fields: Tensor, known: Tensor, displacement: Tensor, region: Region) -> Tensor:
    """Fields ``(n, h, w)`` of a region, each taken from displaced places where those are known.

    Args:
        fields: ``(n, H, W)``
        known: ``(n, H, W)``, 0 or 1.
        displacement: ``(n, 2, h, w)`` in pixels.
        region: of the domain.
    """
    moved = carry(torch.stack([fields * known, known], dim=1), displacement, region)
    return moved[:, 0] + (1.0 - moved[:, 1]) * region.of(fields)
