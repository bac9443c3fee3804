"""What is known at each lead time: the context, carried along two estimates of its motion."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.advection import Region, carry, trajectory
from ssldm.forecast.tiling import joined, squares
from ssldm.model.carried import Carried
from ssldm.radar.motion import SPACING

# Share of a pixel's sources that must be observed, but for rounding.
_WHOLE = 1.0 - 1e-4
# Side in pixels of the squares that are carried one after the other, each in the processor's cache.
_SIDE = 512


def carry_context(
    context: Tensor,
    motions: Tensor,
    leads: Sequence[int],
    stride: int,
    region: Region | None = None,
    spacing: int = SPACING,
) -> Carried:
    """Carry the context frames to some lead times: all of `carried_frames` together."""
    frames = list(carried_frames(context, motions, leads, stride, region, spacing))
    return _each(lambda all_of_one: torch.cat(all_of_one, dim=1), frames)


def _each(function: Callable[[list[Tensor]], Tensor], parts: Sequence[Carried]) -> Carried:
    """A function of each of the fields of some parts."""
    names = ("extrapolated", "observed", "history")
    return Carried(*(function([getattr(part, name) for part in parts]) for name in names))


def carried_frames(
    context: Tensor,
    motions: Tensor,
    leads: Sequence[int],
    stride: int,
    region: Region | None = None,
    spacing: int = SPACING,
) -> Iterator[Carried]:
    """Carry the context frames to one lead time after the other, so that no more than one is in memory.

    Args:
        context: ``(t_in, H, W)`` in network units above dry, NaN unobserved.
        motions: ``(2, 2, H', W')`` in pixels a step, x then y, of each of the two motions, at every so
            many-th pixel.
        leads: lead times in steps, 1 for the first, in order.
        stride: pixels of a block's side.
        region: where; everywhere if None.
        spacing: pixels between the places of the motions.

    Yields:
        For each lead time a batch of one window and one time.
    """
    if region is None:
        region = Region.whole(*context.shape[-2:])
    frames = context.nan_to_num(nan=0.0).flip(0)[:, None, None]
    seen = context.isfinite().all(dim=0).to(context)[None, None]
    side = _SIDE // stride * stride
    in_squares = [
        _carried(frames, seen, motions, leads, stride, region.part(*square), spacing)
        for square in squares(region.height, region.width, side)
    ]
    for parts in zip(*in_squares, strict=True):
        yield _each(lambda all_of_one: joined(all_of_one, -(-region.width // side)), parts)


def _carried(
    frames: Tensor,
    seen: Tensor,
    motions: Tensor,
    leads: Sequence[int],
    stride: int,
    region: Region,
    spacing: int,
) -> Iterator[Carried]:
    """What `carried_frames` yields, of a region small enough for a processor's cache.

    Args:
        frames: ``(t_in, 1, 1, H, W)`` in network units above dry, the latest first.
        seen: ``(1, 1, H, W)``, 1 where all of them are observed, else 0.
        motions, leads, stride, region, spacing: see there.
    """
    ages = len(frames)
    here = region.of(seen)[0, 0] > 0.0
    # Of the frame of age a at lead time n: where the air was n + a steps before.
    recent: list[deque[Tensor]] = [deque(maxlen=ages), deque(maxlen=ages)]
    steps = zip(*(trajectory(motion, region, spacing) for motion in motions), strict=True)
    for step, displacements in enumerate(islice(steps, leads[-1] + ages - 1), start=1):
        for past, displacement in zip(recent, displacements, strict=True):
            past.append(displacement)
        if step - ages + 1 not in leads:
            continue
        tracked, second = (
            torch.cat([carry(frame, past[age], region) for age, frame in enumerate(frames)])[:, 0]
            for past in recent
        )
        # Unobserved as soon as one of the four pixels is that linear interpolation takes.
        observed = (carry(seen, recent[0][0], region)[0, 0] > _WHOLE) & here
        extrapolated = tracked[0] * observed
        compared = [(there, extrapolated) for there in (*tracked[1:], second[0])]
        compared += [(there, second[0]) for there in second[1:]]
        history = torch.stack(
            [part for there, with_what in compared for part in (there, (there - with_what).abs())]
        )
        pair = torch.stack([extrapolated, second[0] * observed])
        yield Carried(pair[None, None], observed[None, None], F.avg_pool2d(history, stride)[None, None])
