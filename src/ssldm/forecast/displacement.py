"""Members' rain comes from where it is expected, and some pixels beside it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ssldm.forecast.advection import Region, carry, sample_at
from ssldm.model.displacement import MOST, DisplacementConfig, unit_displacements


class Displacements:
    """Random displacements of pairs of members, of opposite sign, that grow with lead time.

    Args:
        size: height and width of the domain.
        deviations: of each component at each lead time, in pixels.
        config: smoothness.
        device: where they are drawn.
    """

    def __init__(
        self,
        size: tuple[int, int],
        deviations: Sequence[float],
        config: DisplacementConfig,
        device: torch.device,
    ) -> None:
        self.size, self.deviations, self.config, self.device = size, deviations, config, device

    def draw(self, seed: int) -> Tensor:
        """Those of unit variance of a pair, see `unit_displacements`."""
        generator = torch.Generator(self.device).manual_seed(seed)
        return unit_displacements(1, *self.size, self.config, generator)

    def farthest(self, lead: int) -> int:
        """Pixels that no displacement at a lead time exceeds along an axis."""
        return math.ceil(MOST * self.deviations[lead])

    def of_pair(self, units: Tensor, lead: int, region: Region) -> Tensor:
        """Both members' displacements ``(2, 2, h, w)`` in pixels, x then y, in a region of the domain."""
        first = self.deviations[lead] * in_pixels(units, region, self.config)
        return torch.cat([first, -first])


def in_pixels(units: Tensor, region: Region, config: DisplacementConfig) -> Tensor:
    """Drawn displacements ``(n, 2, h', w')`` at every pixel of a region, ``(n, 2, h, w)``."""
    nowhere = units.new_zeros(len(units), 2, region.height, region.width)
    return sample_at(units, nowhere, region, config.spacing)


def displaced(fields: Tensor, known: Tensor, displacement: Tensor, region: Region) -> Tensor:
    """Fields at displaced places; as they are where the place is unknown or outside the domain.

    Args:
        fields: ``(n, H, W)`` on a domain.
        known: ``(n, H, W)``, 1 where they are known, else 0.
        displacement: ``(n, 2, h, w)`` in pixels, x then y, of each pixel of a region.
        region: of the domain.

    Returns:
        ``(n, h, w)``
    """
    there, share = carry(torch.stack([fields * known, known], dim=1), displacement, region).unbind(dim=1)
    return there + (1.0 - share) * region.of(fields)
