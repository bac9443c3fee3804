"""What is known at each lead time: the context, carried along two estimates of its motion."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.advection import CACHED, Region, carry, trajectory
from ssldm.forecast.tiling import in_pixels, squares
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
    """Carry the context frames to some lead times: all of `carried_frames` together."""
    frames = list(carried_frames(context, motions, leads, stride, region, spacing))
    return Carried(
        *(
            torch.cat([getattr(frame, name) for frame in frames], dim=1)
            for name in ("extrapolated", "observed", "history")
        )
    )


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
        region: where, of whole blocks; everywhere if None.
        spacing: pixels between the places of the motions.

    Yields:
        For each lead time a batch of one window and one time.
    """
    if region is None:
        region = Region.whole(*context.shape[-2:])
    frames = context.nan_to_num(nan=0.0).flip(0)[:, None, None]
    seen = context.isfinite().all(dim=0).to(context)[None, None]
    # Of the frame of age a at lead time n: where the air was n + a steps before.
    ages = len(frames)
    recent: list[deque[Tensor]] = [deque(maxlen=ages), deque(maxlen=ages)]
    steps = zip(*(trajectory(motion, region, spacing) for motion in motions), strict=True)
    for step, displacements in enumerate(islice(steps, leads[-1] + ages - 1), start=1):
        for past, displacement in zip(recent, displacements, strict=True):
            past.append(displacement)
        if step - ages + 1 not in leads:
            continue
        whole = Carried(
            context.new_empty(1, 1, 2, region.height, region.width),
            context.new_empty(1, 1, region.height, region.width, dtype=torch.bool),
            context.new_empty(1, 1, 4 * ages - 2, region.height // stride, region.width // stride),
        )
        for blocks in squares(region.height // stride, region.width // stride, CACHED // stride):
            rows, columns = pixels = in_pixels(blocks, stride)
            paths = [[displacement[..., rows, columns] for displacement in past] for past in recent]
            part = _carried(frames, seen, paths, stride, region.part(*pixels))
            whole.extrapolated[..., rows, columns] = part.extrapolated
            whole.observed[..., rows, columns] = part.observed
            whole.history[..., blocks[0], blocks[1]] = part.history
        yield whole


def _carried(
    frames: Tensor, seen: Tensor, displacements: list[list[Tensor]], stride: int, region: Region
) -> Carried:
    """The context at one lead time and in a region.

    Args:
        frames: ``(t_in, 1, 1, H, W)`` in network units above dry, the latest first.
        seen: ``(1, 1, H, W)``, 1 where all of them are observed, else 0.
        displacements: along each motion, of each frame: ``(1, 2, h, w)``, see `trajectory`.
        stride: pixels of a block's side.
        region: of the domain.
    """
    tracked, second = (
        torch.cat([carry(*each, region) for each in zip(frames, past, strict=True)])[:, 0]
        for past in displacements
    )
    # Unobserved as soon as one of the four pixels is that linear interpolation takes.
    observed = (carry(seen, displacements[0][0], region) > _WHOLE) & (region.of(seen) > 0.0)
    extrapolated = tracked[0] * observed[0, 0]
    compared = [(there, extrapolated) for there in (*tracked[1:], second[0])]
    compared += [(there, second[0]) for there in second[1:]]
    history = torch.stack(
        [part for there, with_what in compared for part in (there, (there - with_what).abs())]
    )
    pair = torch.stack([extrapolated, second[0] * observed[0, 0]])
    return Carried(pair[None, None], observed, F.avg_pool2d(history, stride)[None, None])
