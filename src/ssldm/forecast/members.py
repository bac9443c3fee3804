"""The members of an ensemble as one array: all at once, or each pair when it is read."""

import math
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray

from ssldm.diffusion.schedule import SamplerName
from ssldm.forecast.diffusion_ensemble import Advance, DiffusionEnsemble
from ssldm.forecast.storm_ensemble import StormEnsemble
from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.model.storm_model import StormModel
from ssldm.radar.motion import extrapolate, two_motions

# Numbers of a pair of members that are made at once.
_AT_ONCE = 1 << 27
# From the number of pairs of members or of denoiser calls to come, to what is called after each.
OnStart = Callable[[int], Advance]


def storm_members(
    model: StormModel,
    context: NDArray[np.float32],
    frames: int,
    members: int,
    seed: int,
    on_start: OnStart,
    highest: np.float32,
    motion: NDArray[np.float32] | None,
    *,
    lazy: bool,
) -> Any:
    """Rain rates ``(m, t, H, W)``; lazy, a dask array whose pairs of members are made when they are read.

    Along a motion ``(2, H, W)``, or that of the context.
    """
    ensemble = StormEnsemble(model, context, frames, two_motions(context, motion))
    pairs = range(-(-members // 2))
    advance = on_start(len(pairs))

    def made(number: int, leads: range) -> NDArray[np.float32]:
        rate = ensemble.pair(number, seed, leads)[: members - 2 * number]
        if leads.stop == frames:
            advance()
        return np.minimum(rate, highest, out=rate)

    size = context.shape[1:]
    if not lazy:
        rate = np.empty((members, frames, *size), np.float32)
        for number in pairs:
            rate[2 * number : 2 * number + 2] = made(number, range(frames))
        return rate
    from dask.array.core import map_blocks

    # The white noise of earlier lead times is drawn again for later ones, which takes little time.
    together = min(max(1, _AT_ONCE // (2 * math.prod(size))), frames)
    parts = [range(start, min(start + together, frames)) for start in range(0, frames, together)]
    chunks = tuple(min(2, members - 2 * number) for number in pairs), tuple(map(len, parts)), *size
    return map_blocks(
        lambda block_id: made(block_id[0], parts[block_id[1]]),
        chunks=chunks,
        dtype=np.float32,
        name=f"members-{uuid4()}",  # else dask writes the ensemble to memory, to name it by its content
    )


@torch.inference_mode()
def diffusion_members(
    model: LatentDiffusion,
    context: NDArray[np.float32],
    frames: int,
    members: int,
    seed: int,
    steps: int,
    sampler: SamplerName,
    on_start: OnStart,
    motion: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Rain rates ``(m, t, H, W)`` of a denoiser, along a motion or that of the context."""
    moved = extrapolate(context, frames, motion)
    ensemble = DiffusionEnsemble(model, context, moved)
    advance = on_start(ensemble.calls(members, steps))
    drawn = ensemble.members(members, seed=seed, steps=steps, sampler=sampler, advance=advance)
    return np.stack([np.where(moved.observed, member.numpy(), np.float32(np.nan)) for member in drawn])
