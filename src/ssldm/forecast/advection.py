"""Semi-Lagrangian advection of many fields at once, on any device (Germann and Zawadzki 2002).

The same scheme as `pysteps.extrapolation.semilagrangian` (backward in time, midpoint rule, linear
interpolation), as tensor operations: the trajectories are found once and then carry any number of fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.tiling import squares

# Side in pixels of the squares of a large domain that are computed one after the other: some fields of them
# stay in a processor's cache, and what is between is not in memory for the whole domain at once.
CACHED = 512
# Share of a pixel's sources that must be observed, but for rounding.
WHOLE = 1.0 - 1e-4


@dataclass(frozen=True)
class Region:
    """A rectangle of a domain's pixels.

    Attributes:
        domain: height and width of the domain.
        row, column: of its upper left corner.
        height, width: its own.
    """

    domain: tuple[int, int]
    row: int
    column: int
    height: int
    width: int

    @staticmethod
    def whole(height: int, width: int) -> "Region":
        """All of a domain."""
        return Region((height, width), 0, 0, height, width)

    def part(self, rows: slice, columns: slice) -> "Region":
        """Some of its rows and columns; those beyond it are left out."""
        row, column = self.row + rows.start, self.column + columns.start
        bottom, right = min(rows.stop, self.height), min(columns.stop, self.width)
        return Region(self.domain, row, column, bottom - rows.start, right - columns.start)

    def wider(self, edge: int) -> "Region":
        """With so many pixels around it, as far as the domain goes."""
        row, column = max(self.row - edge, 0), max(self.column - edge, 0)
        bottom = min(self.row + self.height + edge, self.domain[0])
        right = min(self.column + self.width + edge, self.domain[1])
        return Region(self.domain, row, column, bottom - row, right - column)

    def within(self, other: "Region") -> "Region":
        """The same pixels as a region of another one."""
        domain, row, column = (other.height, other.width), self.row - other.row, self.column - other.column
        return Region(domain, row, column, self.height, self.width)

    def of(self, field: Tensor) -> Tensor:
        """The region of a field ``(..., H, W)`` of the domain."""
        return field[..., self.row : self.row + self.height, self.column : self.column + self.width]


def trajectory(motion: Tensor, region: Region, spacing: int) -> Iterator[Tensor]:
    """Where the air at each pixel was one time step before, two steps, and so on without end.

    Args:
        motion: ``(n, 2, h, w)`` in pixels a step, x then y (rows downwards), at every so many-th pixel of the
            domain from the first on, linear between them; it stays as it is.
        region: the pixels that trajectories end at.
        spacing: pixels between the places of the motion.

    Yields:
        ``(n, 2, h', w')``: displacement in pixels from each pixel of the region to its origin, x then y.
    """
    displacement = motion.new_zeros(len(motion), 2, region.height, region.width)
    while True:
        further = torch.empty_like(displacement)
        for rows, columns in squares(region.height, region.width, CACHED):
            part, here = region.part(rows, columns), displacement[..., rows, columns]
            increment = sample_at(motion, here, part, spacing)
            increment = sample_at(motion, here - 0.5 * increment, part, spacing)
            further[..., rows, columns] = here - increment
        displacement = further
        yield displacement


def sample_at(field: Tensor, displacement: Tensor, region: Region, spacing: int = 1) -> Tensor:
    """A field at displaced places, by linear interpolation; outside the domain it goes on as at its edge.

    Args:
        field: ``(n, c, h, w)``, at every so many-th pixel of the domain.
        displacement: ``(n, 2, h', w')`` in pixels, x then y, of each pixel of a region.
        region: where those pixels are.
        spacing: pixels between the field's values.
    """
    x, y = _places(displacement, region)
    height, width = field.shape[-2:]
    scale_x, scale_y = (2.0 / max(spacing * (size - 1), 1) for size in (width, height))
    x, y = x.clamp(0, region.domain[1] - 1), y.clamp(0, region.domain[0] - 1)
    grid = torch.stack([x * scale_x - 1.0, y * scale_y - 1.0], dim=-1)
    return F.grid_sample(field, grid, padding_mode="border", align_corners=True)


def carry(field: Tensor, displacement: Tensor, region: Region) -> Tensor:
    """A field carried along trajectories: as `sample_at`, 0 where it comes from outside the domain."""
    height, width = field.shape[-2:]
    x, y = _places(displacement, region)
    inside = (x >= 0.0) & (x <= width - 1.0) & (y >= 0.0) & (y <= height - 1.0)
    return sample_at(field, displacement, region) * inside[:, None]


def _places(displacement: Tensor, region: Region) -> tuple[Tensor, Tensor]:
    """Columns and rows that each pixel takes its value from, ``(n, h, w)`` each."""
    columns = torch.arange(region.column, region.column + region.width, device=displacement.device)
    rows = torch.arange(region.row, region.row + region.height, device=displacement.device)
    return displacement[:, 0] + columns, displacement[:, 1] + rows[:, None]
