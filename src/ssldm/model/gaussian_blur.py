"""Gaussian means over the surroundings."""

from collections.abc import Iterator

import torch
from torch import Tensor

# Pixels whose means are one product: few enough that most of its factors are not zero.
_BLOCK = 64


def gaussian_blur(x: Tensor, deviation: float, truncate: float) -> Tensor:
    """Gaussian sum of ``(..., h, w)`` over the last two axes, of weights that add up to one.

    As products with banded matrices, block by block of the band: on small maps, convolutions of one channel
    take thirty times as long.

    Args:
        x: beyond its edges is nothing.
        deviation: in pixels.
        truncate: where the kernel ends, in deviations.
    """
    half = round(truncate * deviation)
    with torch.autocast(x.device.type, enabled=False):
        height, width = x.shape[-2:]
        x = torch.cat([w @ x[..., near, :] for near, w in _bands(x, height, deviation, half)], dim=-2)
        return torch.cat([x[..., near] @ w.mT for near, w in _bands(x, width, deviation, half)], dim=-1)


def _bands(like: Tensor, size: int, deviation: float, half: int) -> Iterator[tuple[slice, Tensor]]:
    """Of each block of an axis the pixels that are near, and what they weigh ``(block, near)``."""
    weights = _weights(like, size, deviation, half)
    for start in range(0, size, _BLOCK):
        near = slice(max(start - half, 0), start + _BLOCK + half)
        yield near, weights[start : start + _BLOCK, near]


def _weights(like: Tensor, size: int, deviation: float, half: int) -> Tensor:
    """``(size, size)``: of each pixel for each."""
    places = torch.arange(size, device=like.device)
    distance = (places[:, None] - places).abs()
    kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1, device=like.device) / deviation) ** 2)
    weights = torch.exp(-0.5 * (distance / deviation) ** 2) * (distance <= half)
    return (weights / kernel.sum()).to(like)
