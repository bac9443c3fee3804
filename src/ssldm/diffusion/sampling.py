"""Sampling: from noise to clean latents in a few calls of the denoiser."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ssldm.diffusion.objective import Predict

if TYPE_CHECKING:
    from diffusers import SchedulerMixin


# Seed and member have to fit into 63 bits together.
_MEMBER_BITS = 20
MOST_MEMBERS = 1 << _MEMBER_BITS
MOST_SEED = (1 << (63 - _MEMBER_BITS)) - 1


def member_seed(seed: int, member: int) -> int:
    """The seed of one member: it depends on (seed, member) alone."""
    return (seed << _MEMBER_BITS) + member


def member_generator(seed: int, member: int) -> torch.Generator:
    """The random numbers of one member: they depend on (seed, member) alone."""
    # A generator's first numbers differ for neighbouring seeds.
    return torch.Generator("cpu").manual_seed(member_seed(seed, member))


def sample(
    predict: Predict,
    noise: Tensor,
    scheduler: "SchedulerMixin",
    steps: int,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Clean latents from noise.

    Args:
        predict: the denoiser as a function of noisy latents ``(b, t, c, h, w)`` and timestep ``(b,)``.
        noise: standard normal, ``(b, t, c, h, w)``.
        scheduler: a sampler of `DiffusionConfig.build_scheduler`; its state is reset.
        steps: calls of the denoiser.
        generators: one for each of the ``b`` members, for samplers that add noise.

    Returns:
        ``(b, t, c, h, w)``
    """
    scheduler.set_timesteps(steps)
    stochastic = scheduler.__class__.__name__ == "DDPMScheduler"
    options = {"generator": list(generators)} if stochastic else {}
    x: Tensor = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        prediction = predict(x, timestep.expand(len(x)))
        x = scheduler.step(prediction.float(), timestep, x, **options).prev_sample
    return x
