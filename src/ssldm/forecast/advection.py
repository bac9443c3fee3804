"""Semi-Lagrangian advection of many fields at once, on any device (Germann and Zawadzki 2002).

The same scheme as `pysteps.extrapolation.semilagrangian` (backward in time, midpoint rule, linear
interpolation), as tensor operations: the trajectories are found once and then carry any number of fields.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def trajectories(motion: Tensor, steps: int) -> Tensor:
    """Where the air at each pixel was 1 … ``steps`` time steps before.

    Args:
        motion: ``(b, 2, h, w)`` in pixels a step, x then y (rows downwards); it stays as it is.
        steps: how many.

    Returns:
        ``(b, steps, 2, h, w)``: displacement in pixels from each pixel to its origin, x then y.
    """
    displacement, increment = torch.zeros_like(motion), motion
    found = []
    for _ in range(steps):
        increment = sample_at(motion, displacement - 0.5 * increment)
        displacement = displacement - increment
        increment = sample_at(motion, displacement)
        found.append(displacement)
    return torch.stack(found, dim=1)


def sample_at(field: Tensor, displacement: Tensor) -> Tensor:
    """A field at displaced places, by linear interpolation; beyond its edges it goes on as at them.

    Args:
        field: ``(n, c, h, w)``.
        displacement: ``(n, 2, h', w')`` in pixels, x then y, from the pixels of the upper left corner on.
    """
    return F.grid_sample(field, _grid(displacement, field), padding_mode="border", align_corners=True)


def carry(field: Tensor, displacement: Tensor) -> Tensor:
    """A field carried along trajectories: as `sample_at`, NaN where it comes from outside the domain."""
    height, width = field.shape[-2:]
    x, y = _places(displacement)
    inside = (x >= 0.0) & (x <= width - 1.0) & (y >= 0.0) & (y <= height - 1.0)
    return torch.where(inside[:, None], sample_at(field, displacement), torch.nan)


def _places(displacement: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and rows that each pixel takes its value from, ``(n, h, w)`` each."""
    height, width = displacement.shape[-2:]
    columns = torch.arange(width, device=displacement.device)
    rows = torch.arange(height, device=displacement.device)
    return displacement[:, 0] + columns, displacement[:, 1] + rows[:, None]


def _grid(displacement: Tensor, field: Tensor) -> Tensor:
    """Places in the units of `grid_sample`, -1 to 1 from edge to edge."""
    height, width = field.shape[-2:]
    x, y = _places(displacement)
    return torch.stack([2.0 * x / max(width - 1, 1) - 1.0, 2.0 * y / max(height - 1, 1) - 1.0], dim=-1)
