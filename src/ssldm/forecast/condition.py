"""What is known at each lead time: the context, carried along two estimates of its motion."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.advection import CACHED, WHOLE, Region, carry, trajectory
from ssldm.forecast.tiling import in_pixels, squares
from ssldm.model.carried import Carried
from ssldm.radar.motion import SPACING


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
        context: ``(b, t_in, H, W)`` in network units above dry, NaN unobserved.
        motions: ``(b, 2, 2, H', W')`` in pixels a step, x then y, of each of the two motions, at every so
            many-th pixel.
        leads: lead times in steps, 1 for the first, in order.
        stride: pixels of a block's side.
        region: where, of whole blocks; everywhere if None.
        spacing: pixels between the places of the motions.

    Yields:
        For each lead time a batch of one time.
    """
    if region is None:
        region = Region.whole(*context.shape[-2:])
    windows, ages = context.shape[:2]
    frames = context.nan_to_num(nan=0.0).flip(1).transpose(0, 1)[:, :, None]
    seen = context.isfinite().all(dim=1, keepdim=True).to(context)
    # Of the frame of age a at lead time n: where the air was n + a steps before.
    recent: list[deque[Tensor]] = [deque(maxlen=ages), deque(maxlen=ages)]
    steps = zip(*(trajectory(motion, region, spacing) for motion in motions.unbind(dim=1)), strict=True)
    for step, displacements in enumerate(islice(steps, leads[-1] + ages - 1), start=1):
        for past, displacement in zip(recent, displacements, strict=True):
            past.append(displacement)
        if step - ages + 1 not in leads:
            continue
        height, width = region.height, region.width
        whole = Carried(
            context.new_empty(windows, 1, 2, height, width),
            context.new_empty(windows, 1, height, width, dtype=torch.bool),
            context.new_empty(windows, 1, 4 * ages - 2, height // stride, width // stride),
        )
        for blocks in squares(height // stride, width // stride, CACHED // stride):
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
        frames: ``(t_in, b, 1, H, W)`` in network units above dry, the latest first.
        seen: ``(b, 1, H, W)``, 1 where all of them are observed, else 0.
        displacements: along each motion, of each frame: ``(b, 2, h, w)``, see `trajectory`.
        stride: pixels of a block's side.
        region: of the domain.
    """
    tracked, second = (
        torch.cat([carry(*each, region) for each in zip(frames, past, strict=True)], dim=1)
        for past in displacements
    )
    # Unobserved as soon as one of the four pixels is that linear interpolation takes.
    observed = (carry(seen, displacements[0][0], region) > WHOLE) & (region.of(seen) > 0.0)
    extrapolated = tracked[:, :1] * observed
    there = torch.cat([tracked[:, 1:], second], dim=1)
    compared = torch.cat([extrapolated.expand_as(tracked), second[:, :1].expand_as(second[:, 1:])], dim=1)
    history = torch.stack([there, (there - compared).abs()], dim=2).flatten(1, 2)
    pair = torch.cat([extrapolated, second[:, :1] * observed], dim=1)
    return Carried(pair[:, None], observed, F.avg_pool2d(history, stride)[:, None])
