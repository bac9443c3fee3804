"""Training windows drawn from a pack, on the device that trains: see `ssldm.training.pack`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.model.gaussian_blur import gaussian_blur
from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.training.packed_series import (
    MOTION_STRIDE,
    UNOBSERVED,
    PackedSeries,
    rates_of_codes,
    to_codes,
)

# Pixels of the squares that the wet share is known of, to draw windows by.
_BLOCK = 32
_DRY_WEIGHT, _LEAST_OBSERVED = 0.02, 0.5
# Of how rain rates within a class are made up: smoothed this far, so often.
_SMOOTHING, _SMOOTHINGS = 2.0, 6
_AT_ONCE = 32


@dataclass(frozen=True)
class Windows:
    """Some windows.

    Attributes:
        rate: ``(b, t, s, s)`` in mm/h, NaN where unobserved or where a window has no such frame.
        motions: ``(b, 2, 2, s, s)`` in pixels a frame, x then y, of two estimates.
        product: ``(b,)``, numbers of the products.
    """

    rate: Tensor
    motions: Tensor
    product: Tensor


@dataclass(frozen=True)
class _Place:
    """A window: of which series and opening, where, and averaged over how many pixels."""

    series: int
    opening: int
    row: int
    column: int
    factor: float


class PackedWindows:
    """Draws windows: products alike often, within one by their rain.

    Args:
        series: of a pack.
        products: those to draw from.
        frames: of a window, context and lead.
        size: side of a window in pixels.
        coarsenings: factors of the blocks that are averaged, beside a series' own.
        device: where frames are kept.
    """

    def __init__(
        self,
        series: Sequence[PackedSeries],
        products: Collection[str],
        *,
        frames: int,
        size: int,
        coarsenings: Sequence[float],
        device: torch.device,
    ) -> None:
        self.products = sorted({each.product for each in series})
        self.series = [each for each in series if each.product in products]
        self.frames, self.size, self.coarsenings = frames, size, coarsenings
        self.rates = torch.from_numpy(rates_of_codes()).to(device)
        self.codes = [self._codes(each, device) for each in self.series]
        self.motions = [torch.from_numpy(each.motions.copy()).to(device) for each in self.series]
        shares = [_shares(codes) for codes in self.codes]
        self.wet, self.seen = zip(*shares, strict=True)
        self.openings = [
            (number, opening) for number, each in enumerate(self.series) for opening in range(len(each.openings))
        ]
        self.probability = self._probability()

    def _codes(self, series: PackedSeries, device: torch.device) -> Tensor:
        codes = torch.from_numpy(series.codes.copy()).to(device)
        if not series.classes:
            return codes
        return torch.cat([_within_classes(part, series.classes, self.rates) for part in codes.split(_AT_ONCE)])

    def _probability(self) -> NDArray[np.float64]:
        """Of each opening: alike in total for each product."""
        weight, group = [], []
        for number, opening in self.openings:
            each = self.series[number]
            times = self._times(number, opening)
            weight.append(float(self.wet[number][times].mean()) + _DRY_WEIGHT)
            group.append(self.products.index(each.product))
        total = np.bincount(group, weight)
        share = np.asarray(weight) / total[group]
        return share / share.sum()

    def _times(self, series: int, opening: int) -> NDArray[np.intp]:
        found = self.series[series].openings[opening]
        return found.start + found.every * np.arange(min(found.frames, self.frames))

    def draw(self, count: int, rng: np.random.Generator, *, augmented: bool) -> Windows:
        """Some windows, all drawn from the generator.

        Args:
            count: how many.
            rng: generator.
            augmented: turn each by one of the eight symmetries and make its rain weaker or stronger.
        """
        rates, motions, products = [], [], []
        for number in rng.choice(len(self.openings), count, p=self.probability):
            place = self._place(*self.openings[number], rng)
            rate, motion = self._read(place)
            if augmented:
                rate, motion = turned(rate * float(np.exp(rng.normal(0.0, 0.25))), motion, int(rng.integers(8)))
            rates.append(rate)
            motions.append(motion)
            products.append(self.products.index(self.series[place.series].product))
        return Windows(torch.stack(rates), torch.stack(motions), torch.tensor(products))

    def _place(self, series: int, opening: int, rng: np.random.Generator) -> _Place:
        """A window of an opening, drawn by its wet share, then moved by half a block at most."""
        height, width = self.codes[series].shape[-2:]
        own = self.series[series].factor
        fitting = [own * c for c in self.coarsenings if self.size * own * c <= min(height, width)]
        factor = float(rng.choice(fitting))
        side = round(self.size * factor)
        times = self._times(series, opening)
        blocks = min(-(-side // _BLOCK), *self.wet[series].shape[1:])
        wet = _means(self.wet[series][times].mean(axis=0), blocks)
        seen = _means(self.seen[series][times].mean(axis=0), blocks)
        weight = np.where(seen >= _LEAST_OBSERVED, wet + _DRY_WEIGHT, 1e-9).ravel()
        row, column = divmod(int(rng.choice(weight.size, p=weight / weight.sum())), wet.shape[1])

        def moved(block: int, length: int) -> int:
            place = _BLOCK * block + int(rng.integers(-_BLOCK // 2, _BLOCK // 2 + 1))
            return min(max(place, 0), length - side)

        return _Place(series, opening, moved(row, height), moved(column, width), factor)

    def _read(self, place: _Place) -> tuple[Tensor, Tensor]:
        """Rain rate ``(t, s, s)`` and motions ``(2, 2, s, s)`` of a window."""
        codes, side = self.codes[place.series], round(self.size * place.factor)
        times = torch.from_numpy(self._times(place.series, place.opening)).to(codes.device)
        found = codes[times, place.row : place.row + side, place.column : place.column + side]
        rate = self.rates[found.long()]
        if side != self.size:
            rate = F.interpolate(rate[None], (self.size, self.size), mode="area")[0]
        rate = F.pad(rate, (0, 0, 0, 0, 0, self.frames - len(rate)), value=float("nan"))
        coarse = self.motions[place.series][place.opening].float().flatten(0, 1)[None]
        rows, columns = (
            (first + place.factor * (torch.arange(self.size, device=codes.device) + 0.5) - 0.5) / MOTION_STRIDE
            for first in (place.row, place.column)
        )
        y, x = (
            2.0 * at / (length - 1) - 1.0 for at, length in ((rows, coarse.shape[-2]), (columns, coarse.shape[-1]))
        )
        grid = torch.stack([x.expand(self.size, -1), y[:, None].expand(-1, self.size)], dim=-1)[None]
        motion = F.grid_sample(coarse, grid, padding_mode="border", align_corners=True)[0]
        return rate, motion.unflatten(0, (2, 2)) / place.factor


def turned(rate: Tensor, motion: Tensor, symmetry: int) -> tuple[Tensor, Tensor]:
    """A square ``(..., s, s)`` and its motion ``(..., 2, s, s)`` by one of the eight symmetries, 0 to 7."""
    if symmetry & 1:
        rate, motion = rate.flip(-1), motion.flip(-1) * motion.new_tensor([-1.0, 1.0])[:, None, None]
    if symmetry & 2:
        rate, motion = rate.flip(-2), motion.flip(-2) * motion.new_tensor([1.0, -1.0])[:, None, None]
    if symmetry & 4:
        rate, motion = rate.mT, motion.mT.flip(-3)
    return rate, motion


def _shares(codes: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Wet and observed share of squares ``(t, rows, columns)``."""
    wettest = to_codes(np.float32([WET_MM_PER_HOUR]))[0]
    wet, seen = [], []
    for part in codes.split(_AT_ONCE):
        known = part != UNOBSERVED
        wet.append(F.avg_pool2d(((part >= int(wettest)) & known).float(), _BLOCK))
        seen.append(F.avg_pool2d(known.float(), _BLOCK))
    return torch.cat(wet).cpu().numpy(), torch.cat(seen).cpu().numpy()


def _means(share: NDArray[np.float32], blocks: int) -> NDArray[np.float64]:
    """Means over all squares of so many blocks, by their upper left corner."""
    view = np.lib.stride_tricks.sliding_window_view(share, (blocks, blocks))
    return view.mean(axis=(-2, -1), dtype=np.float64)


def _within_classes(codes: Tensor, classes: Sequence[float], rates: Tensor) -> Tensor:
    """Frames of few rain rates with what each class of them may hold: smooth, and within the class's bounds."""
    values = torch.tensor([value for value in classes if value > 0.0], device=codes.device).log()
    # Classes meet half way in the logarithm; the outermost are as wide as their neighbours.
    middle = 0.5 * (values[1:] + values[:-1])
    bounds = torch.cat([2 * values[:1] - middle[:1], middle, 2 * values[-1:] - middle[-1:]])
    rate = rates[codes.long()]
    wet = rate > 0.0
    log = torch.where(wet, rate.clamp_min(1e-6).log(), bounds[0])
    number = torch.bucketize(log.contiguous(), middle)
    low, high = bounds[number], bounds[number + 1]
    for _ in range(_SMOOTHINGS):
        log = torch.where(wet, gaussian_blur(log, _SMOOTHING, truncate=2.5).clamp(low, high), bounds[0])
    made = torch.where(wet, log.exp(), torch.nan_to_num(rate, nan=torch.nan))
    decibel = 10.0 * torch.log10(made.clamp_min(1e-6))
    steps = 1.0 + ((decibel + 13.0) / 0.25).round().clamp(-1.0, UNOBSERVED - 2)
    return torch.where(rate.isnan(), float(UNOBSERVED), torch.where(wet, steps, 0.0)).to(torch.uint8)
