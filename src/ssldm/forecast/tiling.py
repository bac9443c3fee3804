"""Tiles of a large domain: the network sees sizes that it was trained on, the forecast shows no seams."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


def squares(height: int, width: int, side: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the squares that a domain falls into, row by row; the last ones may be smaller."""
    rows, columns = (
        [slice(start, min(start + side, size)) for start in range(0, size, side)] for size in (height, width)
    )
    return [(row, column) for row in rows for column in columns]


def in_pixels(blocks: tuple[slice, slice], stride: int) -> tuple[slice, slice]:
    """Rows and columns of pixels, so many a block's side, of those of blocks."""
    rows, columns = (slice(stride * part.start, stride * part.stop) for part in blocks)
    return rows, columns


@dataclass(frozen=True)
class Tiling:
    """Overlapping tiles that cover ``height × width``; all in the same unit (pixels, or latent pixels).

    Attributes:
        height, width: of the domain; multiples of ``stride``.
        size: side of a tile; the domain's own side where that is smaller.
        overlap: least overlap of neighbouring tiles.
        stride: tiles start at multiples of this.
    """

    height: int
    width: int
    size: int
    overlap: int
    stride: int

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each tile."""
        rows = _starts(self.height, min(self.size, self.height), self.overlap, self.stride)
        columns = _starts(self.width, min(self.size, self.width), self.overlap, self.stride)
        for row in rows:
            for column in columns:
                yield (
                    slice(row, row + min(self.size, self.height)),
                    slice(column, column + min(self.size, self.width)),
                )

    def scaled(self, reduction: int) -> "Tiling":
        """The same tiles on a grid coarser by ``reduction``."""
        values = (self.height, self.width, self.size, self.overlap, self.stride)
        return Tiling(*(value // reduction for value in values))

    def weight(self) -> Tensor:
        """Weight of a tile's pixels, ``(h, w)``: falls linearly towards its edges over the overlap."""
        height, width = min(self.size, self.height), min(self.size, self.width)
        return _ramp(height, self.overlap)[:, None] * _ramp(width, self.overlap)[None, :]


class Blend:
    """A weighted mean of tiles over a domain, accumulated tile by tile."""

    def __init__(self, tiling: Tiling, leading: tuple[int, ...]) -> None:
        self.weight = tiling.weight()
        self.sum = torch.zeros(*leading, tiling.height, tiling.width)
        self.total = torch.zeros(tiling.height, tiling.width)

    def add(self, tile: tuple[slice, slice], values: Tensor) -> None:
        """Add one tile ``(..., h, w)``."""
        self.sum[..., tile[0], tile[1]] += values * self.weight
        self.total[tile] += self.weight

    def result(self) -> Tensor:
        """The mean ``(..., height, width)``; zero where no tile was added."""
        return self.sum / self.total.clamp_min(1e-12)


def _starts(length: int, size: int, overlap: int, stride: int) -> list[int]:
    if size >= length:
        return [0]
    step = (size - overlap) // stride * stride
    return [*range(0, length - size, step), length - size]


def _ramp(size: int, overlap: int) -> Tensor:
    distance = torch.minimum(torch.arange(size), torch.arange(size).flip(0)).float() + 1.0
    return (distance / (overlap + 1.0)).clamp_max(1.0)
