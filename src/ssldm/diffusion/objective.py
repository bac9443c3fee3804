"""The training objective: predict the noise, or the velocity, at a uniformly drawn timestep."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

Predict = Callable[[Tensor, Tensor], Tensor]


def diffusion_loss(
    predict: Predict,
    clean: Tensor,
    noise: Tensor,
    timestep: Tensor,
    forward_process: "DDPMScheduler",
    weight: Tensor,
) -> Tensor:
    """E ‖ε - ε_θ(√ᾱ z₀ + √(1-ᾱ) ε, n)‖² (or the same for v), averaged with ``weight``.

    Args:
        predict: the denoiser as a function of noisy latents and timestep.
        clean: z₀, ``(b, t, c, h, w)``, about unit variance.
        noise: ε, like ``clean``.
        timestep: n, ``(b,)``.
        forward_process: holds ᾱ and the kind of prediction.
        weight: broadcasts to ``clean``; 0 where the latents were not observed.

    Returns:
        scalar
    """
    noisy = forward_process.add_noise(clean, noise, timestep)
    if forward_process.config.prediction_type == "epsilon":
        target = noise
    else:
        target = forward_process.get_velocity(clean, noise, timestep)
    error = (predict(noisy, timestep).float() - target) ** 2
    return (error * weight).sum() / weight.expand_as(error).sum().clamp_min(1.0)
