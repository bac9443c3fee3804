"""Gaussian means over the surroundings."""

import torch
from torch import Tensor


def gaussian_blur(x: Tensor, deviation: float, truncate: float) -> Tensor:
    """Gaussian sum of ``(..., h, w)`` over the last two axes, of weights that add up to one.

    As products with banded matrices: on small maps, convolutions of one channel take thirty times as long.

    Args:
        x: beyond its edges is nothing.
        deviation: in pixels.
        truncate: where the kernel ends, in deviations.
    """
    half = round(truncate * deviation)
    with torch.autocast(x.device.type, enabled=False):
        rows, columns = (_weights(x, size, deviation, half) for size in x.shape[-2:])
        return rows @ x @ columns


def _weights(like: Tensor, size: int, deviation: float, half: int) -> Tensor:
    """``(size, size)``: of each pixel for each."""
    places = torch.arange(size, device=like.device)
    distance = (places[:, None] - places).abs()
    kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1) / deviation) ** 2)
    weights = torch.exp(-0.5 * (distance / deviation) ** 2) * (distance <= half)
    return (weights / kernel.sum().item()).to(like)
