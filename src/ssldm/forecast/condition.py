"""What is known at each lead time: the context, carried along two estimates of its motion."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.advection import Region, carry, trajectories
from ssldm.model.carried import Carried
from ssldm.radar.motion import SPACING

# Share of a pixel's sources that must be observed, but for rounding.
_WHOLE = 1.0 - 1e-4


def carry_context(
    context: Tensor,
    motions: Tensor,
    leads: Sequence[int],
    stride: int,
    region: Region | None = None,
    spacing: int = SPACING,
) -> Carried:
    """Carry the context frames to some lead times.

    Args:
        context: ``(t_in, H, W)`` in network units above dry, NaN unobserved.
        motions: ``(2, 2, H', W')`` in pixels a step, x then y, of each of the two motions, at every so
            many-th pixel.
        leads: lead times in steps, 1 for the first, in order.
        stride: pixels of a block's side.
        region: where; everywhere if None.
        spacing: pixels between the places of the motions.

    Returns:
        A batch of one.
    """
    if region is None:
        region = Region.whole(*context.shape[-2:])
    frames = context.nan_to_num(nan=0.0).flip(0)
    seen = context.isfinite().all(dim=0)
    first, second = (trajectories(motion, leads[-1] + len(frames) - 1, region, spacing) for motion in motions)
    tracked = [_at(frame, first, leads, age, region) for age, frame in enumerate(frames)]
    other = [_at(frame, second, leads, age, region) for age, frame in enumerate(frames)]
    # Unobserved as soon as one of the four pixels is that linear interpolation takes.
    here = seen[region.row : region.row + region.height, region.column : region.column + region.width]
    observed = (_at(seen.to(frames), first, leads, 0, region) > _WHOLE) & here
    extrapolated = tracked[0] * observed
    compared = [(there, extrapolated) for there in (*tracked[1:], other[0])]
    compared += [(there, other[0]) for there in other[1:]]
    history = torch.stack(
        [part for there, with_what in compared for part in (there, (there - with_what).abs())], 1
    )
    return Carried(
        torch.stack([extrapolated, other[0] * observed], dim=1)[None],
        observed[None],
        F.avg_pool2d(history, stride)[None],
    )


def _at(frame: Tensor, paths: Tensor, leads: Sequence[int], age: int, region: Region) -> Tensor:
    """A frame of some age carried to the lead times, ``(t, h, w)``; dry where it comes from outside the domain."""
    steps = [lead - 1 + age for lead in leads]
    return carry(frame.expand(len(steps), 1, -1, -1), paths[steps], region)[:, 0]
