"""Sinusoidal embedding of the diffusion timestep."""

import math

import torch
from torch import Tensor


def timestep_embedding(timestep: Tensor, channels: int, max_period: float = 10_000.0) -> Tensor:
    """Cosines, then sines, of the timestep at ``channels // 2`` frequencies.

    Args:
        timestep: ``(b,)``, integer or fractional.
        channels: even.

    Returns:
        ``(b, channels)`` float32
    """
    half = channels // 2
    exponent = torch.arange(half, device=timestep.device, dtype=torch.float32) / half
    phase = timestep.float()[:, None] * torch.exp(-math.log(max_period) * exponent)
    return torch.cat([phase.cos(), phase.sin()], dim=-1)
