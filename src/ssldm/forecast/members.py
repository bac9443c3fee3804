"""The members of an ensemble as one array: all at once, or each pair when it is read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssldm.diffusion.schedule import SamplerName
from ssldm.forecast.diffusion_ensemble import Advance, DiffusionEnsemble
from ssldm.forecast.storm_ensemble import StormEnsemble
from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.model.storm_model import StormModel
from ssldm.radar.motion import extrapolate

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
    *,
    lazy: bool,
) -> Any:
    """Rain rates ``(m, t, H, W)``; lazy, a dask array whose pairs of members are made when they are read."""
    ensemble = StormEnsemble(model, context, frames)
    advance = on_start(-(-members // 2))

    def pair(number: int) -> NDArray[np.float32]:
        made = ensemble.pair(number, seed)[: members - 2 * number]
        advance()
        return np.minimum(made, highest, out=made)

    pairs = range(-(-members // 2))
    if not lazy:
        rate = np.empty((members, frames, *context.shape[1:]), np.float32)
        for number in pairs:
            rate[2 * number : 2 * number + 2] = pair(number)
        return rate
    from dask.array.core import concatenate, from_delayed
    from dask.delayed import delayed

    make = delayed(pair, pure=False)
    shapes = [(min(2, members - 2 * number), frames, *context.shape[1:]) for number in pairs]
    return concatenate(
        [from_delayed(make(n), shape, np.float32) for n, shape in zip(pairs, shapes, strict=True)]
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
) -> NDArray[np.float32]:
    """Rain rates ``(m, t, H, W)`` of a denoiser."""
    moved = extrapolate(context, frames)
    ensemble = DiffusionEnsemble(model, context, moved)
    advance = on_start(ensemble.calls(members, steps))
    drawn = ensemble.members(members, seed=seed, steps=steps, sampler=sampler, advance=advance)
    return np.stack([np.where(moved.observed, member.numpy(), np.float32(np.nan)) for member in drawn])
