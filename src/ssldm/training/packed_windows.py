"""Training windows drawn from a pack, on the device that trains: see `ssldm.training.pack`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.errors import ObservationError
from ssldm.forecast.advection import Region
from ssldm.radar.motion import SPACING
from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.training.packed_series import UNOBSERVED, PackedSeries, rates_of_codes, to_codes

# Pixels of the squares that the wet share is known of, to draw windows by.
_BLOCK = 32
_DRY_WEIGHT, _LEAST_OBSERVED = 0.02, 0.5
# Pixels around a window that rain may come from.
_MARGIN = 112
# Of how rain rates within a class are made up: smoothed this far, so often.
_SMOOTHING, _SMOOTHINGS = 2.0, 6


@dataclass(frozen=True)
class PackedBatch:
    """Windows, and what lies around them.

    Attributes:
        context: ``(b, t_in, H, W)`` in mm/h, NaN unobserved, with a margin around the windows.
        motions: ``(b, 2, 2, H', W')`` in pixels a frame, x then y, of two estimates.
        spacing: pixels between the places of the motions.
        region: the windows in what lies around them.
        observed: ``(b, t_out, s, s)`` in mm/h, NaN where unobserved or where there is no such frame.
        product: numbers of their products, ``(b,)``.
    """

    context: Tensor
    motions: Tensor
    spacing: int
    region: Region
    observed: Tensor
    product: Tensor


@dataclass(frozen=True)
class _Scaled:
    """A series, averaged over blocks of pixels.

    Attributes:
        codes: ``(t, h, w)``, see `to_codes`.
        motions: ``(n, 2, 2, h', w')`` in its pixels.
        wet, seen: shares ``(t, rows, columns)`` of squares.
    """

    series: PackedSeries
    codes: Tensor
    motions: Tensor
    spacing: int
    wet: NDArray[np.float32]
    seen: NDArray[np.float32]

    def times(self, opening: int, frames: int) -> list[int]:
        """The frames of a window in time."""
        found = self.series.openings[opening]
        return [found.start + found.every * n for n in range(min(found.frames, frames))]


class PackedWindows:
    """Draws windows: products alike often, within one by their rain.

    Args:
        series: of a pack.
        products: those to draw from.
        context, lead: frames of a window.
        size: side of a window in pixels.
        coarsenings: sides of the blocks that are averaged, beside a series' own.
        device: where frames are kept.

    Raises:
        ObservationError: no window fits.
    """

    def __init__(
        self,
        series: Sequence[PackedSeries],
        products: Collection[str],
        *,
        context: int,
        lead: int,
        size: int,
        coarsenings: Sequence[int],
        device: torch.device,
    ) -> None:
        self.products = sorted({each.product for each in series})
        self.context, self.lead, self.size = context, lead, size
        self.rates = torch.from_numpy(rates_of_codes()).to(device)
        self.scaled = [
            _scaled(each, each.factor * coarsening, device)
            for each in series
            if each.product in products
            for coarsening in coarsenings
            if size * each.factor * coarsening <= min(each.codes.shape[1:])
        ]
        self.openings = [
            (number, opening)
            for number, each in enumerate(self.scaled)
            for opening in range(len(each.motions))
        ]
        if not self.openings:
            raise ObservationError(
                f"expected windows of {size}×{size} pixels of {', '.join(sorted(products))}, found none"
            )
        self.spacing = min(each.spacing for each in self.scaled)
        self.probability = self._probability()

    def _probability(self) -> NDArray[np.float64]:
        """Of each opening: alike in total for each product."""
        weight, group = [], []
        for number, opening in self.openings:
            each = self.scaled[number]
            weight.append(float(each.wet[each.times(opening, self.context + self.lead)].mean()) + _DRY_WEIGHT)
            group.append(self.products.index(each.series.product))
        share = np.asarray(weight) / np.bincount(group, weight)[group]
        return np.asarray(share / share.sum())

    def draw(self, rng: np.random.Generator, count: int) -> PackedBatch:
        """Some windows, drawn from the generator."""
        drawn = [self._draw(rng) for _ in range(count)]
        context, motions, observed = (torch.stack(parts) for parts in list(zip(*drawn, strict=True))[:3])
        product = torch.tensor([product for *_, product in drawn], device=context.device)
        side = context.shape[-1]
        region = Region((side, side), _MARGIN, _MARGIN, self.size, self.size)
        return PackedBatch(context, motions, self.spacing, region, observed, product)

    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, int]:
        """Context, motions, what was observed, and the number of the product of one window."""
        number, opening = self.openings[rng.choice(len(self.openings), p=self.probability)]
        each, size = self.scaled[number], self.size
        times = each.times(opening, self.context + self.lead)
        row, column = self._place(each, times, rng)
        around = _around(each.codes[times[: self.context]], row, column, size)
        after = each.codes[times[self.context :], row : row + size, column : column + size]
        lacking = (0, 0, 0, 0, 0, self.lead - len(after))
        observed = F.pad(self.rates[after.long()], lacking, value=float("nan"))
        motions = self._motions(each, opening, row, column)
        return self.rates[around.long()], motions, observed, self.products.index(each.series.product)

    def _motions(self, each: _Scaled, opening: int, row: int, column: int) -> Tensor:
        """Both motions around a window, linear between their places; beyond the domain as at its edge."""
        side = self.size + 2 * _MARGIN
        motion = each.motions[opening]
        rows, columns = (
            torch.arange(first - _MARGIN, first + side - _MARGIN + 1, self.spacing, device=motion.device)
            for first in (row, column)
        )
        height, width = each.codes.shape[-2:]
        y, x = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
        scale_y, scale_x = (2.0 / max(each.spacing * (count - 1), 1) for count in motion.shape[-2:])
        grid = torch.stack(torch.meshgrid(x * scale_x - 1.0, y * scale_y - 1.0, indexing="xy"), dim=-1)
        sampled = F.grid_sample(
            motion.flatten(0, 1)[None], grid[None], align_corners=True, padding_mode="border"
        )[0]
        both: Tensor = sampled.unflatten(0, motion.shape[:2])
        return both

    def _place(self, each: _Scaled, times: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
        """Where a window lies: drawn by its wet share, then moved by half a block at most."""
        blocks = min(-(-self.size // _BLOCK), *each.wet.shape[1:])
        wet, seen = (_means(share[times].mean(axis=0), blocks) for share in (each.wet, each.seen))
        weight = np.where(seen >= _LEAST_OBSERVED, wet + _DRY_WEIGHT, 1e-9).ravel()
        block = divmod(int(rng.choice(weight.size, p=weight / weight.sum())), wet.shape[1])
        moved = [_BLOCK * number + int(rng.integers(-_BLOCK // 2, _BLOCK // 2 + 1)) for number in block]
        row, column = (
            min(max(first, 0), length - self.size)
            for first, length in zip(moved, each.codes.shape[-2:], strict=True)
        )
        return row, column


def _around(codes: Tensor, row: int, column: int, size: int) -> Tensor:
    """Codes ``(t, h, w)`` in a window and the margin around it, unobserved outside the domain."""
    rows, columns = (slice(max(first - _MARGIN, 0), first + size + _MARGIN) for first in (row, column))
    lacking = [
        max(missing, 0)
        for first, length in ((column, codes.shape[-1]), (row, codes.shape[-2]))
        for missing in (_MARGIN - first, first + size + _MARGIN - length)
    ]
    return F.pad(codes[:, rows, columns], lacking, value=UNOBSERVED)


def _scaled(series: PackedSeries, factor: int, device: torch.device) -> _Scaled:
    codes = series.codes
    if series.classes:
        codes = np.stack([_within_classes(frame, series.classes) for frame in codes])
    if factor > 1:
        codes = np.stack([_averaged(frame, factor) for frame in codes])
    known = codes != UNOBSERVED
    wettest = to_codes(np.array([WET_MM_PER_HOUR], np.float32))[0]
    return _Scaled(
        series,
        torch.from_numpy(np.array(codes)).to(device),
        torch.from_numpy(series.motions.astype(np.float32) / factor).to(device),
        SPACING // factor,
        _shares((codes >= wettest) & known),
        _shares(known),
    )


def _averaged(codes: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """A frame of means over blocks; whole blocks only."""
    height, width = (size // factor for size in codes.shape)
    rate = rates_of_codes()[codes[: height * factor, : width * factor]]
    return to_codes(rate.reshape(height, factor, width, factor).mean(axis=(1, 3)))


def _shares(of: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Share of squares ``(t, rows, columns)``."""
    rows, columns = (size // _BLOCK for size in of.shape[1:])
    squares = of[:, : rows * _BLOCK, : columns * _BLOCK].reshape(len(of), rows, _BLOCK, columns, _BLOCK)
    return np.asarray(squares.mean(axis=(2, 4), dtype=np.float32))


def _means(share: NDArray[np.float32], blocks: int) -> NDArray[np.float64]:
    """Means over all squares of so many blocks, by their upper left corner."""
    view = np.lib.stride_tricks.sliding_window_view(share, (blocks, blocks))
    return np.asarray(view.mean(axis=(-2, -1), dtype=np.float64))


def _within_classes(codes: NDArray[np.uint8], classes: Sequence[float]) -> NDArray[np.uint8]:
    """A frame of few rain rates with what each class may hold: smooth, and within the class's bounds."""
    import cv2

    values = np.log([value for value in classes if value > 0.0])
    # Classes meet half way in the logarithm; the outermost are as wide as their neighbours.
    middle = 0.5 * (values[1:] + values[:-1])
    bounds = np.concatenate([2 * values[:1] - middle[:1], middle, 2 * values[-1:] - middle[-1:]]).astype(
        np.float32
    )
    rate = rates_of_codes()[codes]
    wet = np.nan_to_num(rate) > 0.0
    if not wet.any():
        return codes
    log = np.where(wet, np.log(np.where(wet, rate, 1.0)), bounds[0]).astype(np.float32)
    number = np.searchsorted(middle, log)
    low, high = bounds[number], bounds[number + 1]
    for _ in range(_SMOOTHINGS):
        smooth = cv2.GaussianBlur(log, (0, 0), _SMOOTHING)
        log = np.where(wet, np.clip(smooth, low, high), bounds[0])
    return to_codes(np.where(wet, np.exp(log), rate))
