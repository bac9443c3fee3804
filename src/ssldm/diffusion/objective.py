"""The training objective: predict noise, velocity or the clean latents at a uniformly drawn timestep."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

# Largest weight of an error of z₀: the first of the forward process' steps are all but free of noise.
_LARGEST_WEIGHT = 100.0

Predict = Callable[[Tensor, Tensor], Tensor]


def diffusion_loss(
    predict: Predict,
    clean: Tensor,
    noise: Tensor,
    timestep: Tensor,
    forward_process: "DDPMScheduler",
    weight: Tensor,
    total: Callable[[Tensor], Tensor] = lambda values: values,
) -> Tensor:
    """E ‖ε - ε_θ(√ᾱ z₀ + √(1-ᾱ) ε, n)‖², averaged with ``weight``.

    The same for v; and for z₀, whose error over √(1-ᾱ) is that of v (Li and He 2025).

    Args:
        predict: the denoiser as a function of noisy latents and timestep.
        clean: z₀, ``(b, t, c, h, w)``, about unit variance.
        noise: ε, like ``clean``.
        timestep: n, ``(b,)``.
        forward_process: holds ᾱ and the kind of prediction.
        weight: broadcasts to ``clean``; 0 where the latents were not observed.
        total: adds to a sum over the examples those over the rest of their batch, where others have it.

    Returns:
        scalar
    """
    noisy = forward_process.add_noise(clean, noise, timestep)
    count = total(weight.expand_as(clean).sum()).clamp_min(1.0)
    kind = forward_process.config.prediction_type
    if kind == "epsilon":
        target = noise
    elif kind == "v_prediction":
        target = forward_process.get_velocity(clean, noise, timestep)
    else:
        target = clean
        noise_power = 1.0 - forward_process.alphas_cumprod.to(clean.device)[timestep]
        weight = weight * (1.0 / noise_power).clamp_max(_LARGEST_WEIGHT).reshape(-1, *[1] * (clean.ndim - 1))
    error = (predict(noisy, timestep).float() - target) ** 2
    loss: Tensor = total((error * weight).sum()) / count
    return loss
