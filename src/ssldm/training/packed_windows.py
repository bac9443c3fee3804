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
class PackedWindow:
    """A window, and what lies around it.

    Attributes:
        context: ``(t_in, H, W)`` in mm/h, NaN unobserved, with a margin around the window.
        motions: ``(2, 2, H', W')`` in pixels a frame, x then y, of two estimates.
        spacing: pixels between the places of the motions.
        region: the window in what lies around it.
        observed: ``(t_out, s, s)`` in mm/h, NaN where unobserved or where there is no such frame.
        product: number of its product.
    """

    context: Tensor
    motions: Tensor
    spacing: int
    region: Region
    observed: Tensor
    product: int


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

    def draw(self, rng: np.random.Generator) -> PackedWindow:
        """One window, drawn from the generator."""
        number, opening = self.openings[rng.choice(len(self.openings), p=self.probability)]
        each, size = self.scaled[number], self.size
        times = each.times(opening, self.context + self.lead)
        row, column = self._place(each, times, rng)
        height, width = each.codes.shape[-2:]
        # What lies around begins where motion is known.
        top, left = (max(first - _MARGIN, 0) // each.spacing * each.spacing for first in (row, column))
        rows, columns = (
            slice(top, min(row + size + _MARGIN, height)),
            slice(left, min(column + size + _MARGIN, width)),
        )
        context = self.rates[each.codes[times[: self.context], rows, columns].long()]
        after = each.codes[times[self.context :], row : row + size, column : column + size]
        observed = F.pad(
            self.rates[after.long()], (0, 0, 0, 0, 0, self.lead - len(after)), value=float("nan")
        )
        places = (
            slice(part.start // each.spacing, -(-part.stop // each.spacing) + 1) for part in (rows, columns)
        )
        motions = each.motions[opening][:, :, *places]
        region = Region((context.shape[-2], context.shape[-1]), row - top, column - left, size, size)
        product = self.products.index(each.series.product)
        return PackedWindow(context, motions, each.spacing, region, observed, product)

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
