"""Can a classifier tell members from observations? A two-sample test on tiles that it has not seen.

Where texture, intermittency or strength of members differ from what radar sees in any way that the features
tell, the area under the classifier's ROC curve is above ½ (Friedman 2003; Lopez-Paz and Oquab 2017).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.ndimage
import scipy.stats
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.verification.case import Case, blocks
from ssldm.verification.looks import (
    LEAST_OBJECT,
    RAIN_MM_PER_HOUR,
    coherence,
    elongations,
    looked_at,
    objects_of,
)

TILE = 64
"""Side of a tile in pixels."""

_FEATURES = (
    "wet", "rain", "heavy", "mean", "deviation", "strongest", "power_2", "power_4", "power_8", "power_16",
    "power_32", "gradient", "gradient_tails", "curvature_tails", "coherence", "objects", "area", "elongation",
)  # fmt: skip
_HEAVY_MM_PER_HOUR = 8.0
# Drier tiles say little of how rain looks.
_LEAST_WET = 0.1
# Added to a power before its logarithm: below is rounding.
_LEAST_POWER = 1e-6
_FOLDS = 5
# Of tiles of either kind: fewer tell nothing.
_LEAST_TILES = 20
# Share of the mean variance that is added to that of each feature, so that few tiles are enough.
_SHRINKAGE = 0.05


def quarters(frames: int) -> list[int]:
    """Numbers from 1 of the lead frames that end a quarter of the lead times."""
    return sorted({quarter * frames // 4 for quarter in (1, 2, 3, 4)} - {0})


def tiles_of(case: Case) -> xr.DataArray:
    """Features ``(tile, tile_feature)`` of wet tiles; ``tile_forecast``, ``tile_lead_frame`` tell of what.

    Tiles of 64×64 pixels that all count, of the members of `looked_at` and of the observation, at the
    quarters of the lead times; those of either with 0.1 mm/h in a tenth of their pixels.
    """
    fields = [(False, case.truth), *((True, member) for member in looked_at(case))]
    rows = [
        (forecast, lead, features_of(tile))
        for lead in quarters(len(case.truth))
        for forecast, frames in fields
        for tile in _tiles(frames[lead - 1])[_tiles(case.valid[lead - 1]).all(axis=(1, 2))]
        if (tile >= WET_MM_PER_HOUR).mean() >= _LEAST_WET
    ]
    return xr.DataArray(
        np.array([row[2] for row in rows]).reshape(len(rows), len(_FEATURES)),
        dims=("tile", "tile_feature"),
        coords={
            "tile_feature": list(_FEATURES),
            "tile_forecast": ("tile", np.array([row[0] for row in rows], bool)),
            "tile_lead_frame": ("tile", np.array([row[1] for row in rows], np.int64)),
        },
    )


def features_of(tile: NDArray[np.floating]) -> list[float]:
    """Of a wet tile ``(h, w)`` in mm/h: rain, its spectrum, its gradients, its objects."""
    rate = tile.astype(np.float64)
    wet, rainy = rate >= WET_MM_PER_HOUR, rate >= RAIN_MM_PER_HOUR
    log = np.log(np.maximum(rate, WET_MM_PER_HOUR) / WET_MM_PER_HOUR)
    down, right = np.diff(log, axis=0), np.diff(log, axis=1)
    steps = np.concatenate([down.ravel(), right.ravel()])
    curves = scipy.ndimage.laplace(log)[1:-1, 1:-1].ravel()
    directions = coherence(rate, np.ones(rate.shape, bool))[wet]
    known = np.isfinite(directions)
    labels = objects_of(rainy)
    areas = np.bincount(labels[rainy])[1:]
    return [
        wet.mean(),
        rainy.sum() / wet.sum(),
        (rate >= _HEAVY_MM_PER_HOUR).sum() / wet.sum(),
        log[wet].mean(),
        log[wet].std(),
        log.max(),
        *_powers(log),
        np.log(np.abs(steps).mean() + _LEAST_POWER),
        _tails(steps),
        _tails(curves),
        directions[known].mean() if known.any() else 0.0,
        np.log(1.0 + (areas >= LEAST_OBJECT).sum()),
        (areas * np.log(areas)).sum() / areas.sum() if len(areas) else 0.0,
        (areas * np.log(elongations(labels))).sum() / areas.sum() if len(areas) else 0.0,
    ]


def area_under_roc(tiles: Sequence[xr.DataArray]) -> dict[int, float]:
    """Of linear discriminants that are each fitted without a fifth of the windows, on that fifth.

    Args:
        tiles: of each window, see `tiles_of`; neighbours in this order are left out together.

    Returns:
        The area for each lead frame, and as 0 for all; NaN where there are too few tiles to tell. ½ is no
        better than chance.
    """
    folds = np.array_split(np.arange(len(tiles)), min(_FOLDS, len(tiles)))
    fold_of = {window: fold for fold, part in enumerate(folds) for window in part}
    fold = np.concatenate([np.full(part.sizes["tile"], fold_of[w]) for w, part in enumerate(tiles)])
    features = np.concatenate([part.values for part in tiles])
    forecast, lead = (
        np.concatenate([part[name].values for part in tiles]) for name in ("tile_forecast", "tile_lead_frame")
    )
    score = np.full(len(fold), np.nan)
    for number in range(len(folds)):
        seen = fold != number
        if _enough(forecast[seen]):
            score[~seen] = features[~seen] @ _direction(features[seen], forecast[seen])
    known = np.isfinite(score)
    found = {0: _area(score[known], forecast[known])}
    for each in sorted(set(lead.tolist())):
        at = known & (lead == each)
        found[each] = _area(score[at], forecast[at])
    return found


def _direction(features: NDArray[np.float64], forecast: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fisher's discriminant: along it means are farthest apart beside the variance within."""
    scale = features.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    one, other = features[forecast] / scale, features[~forecast] / scale
    within = 0.5 * (np.cov(one.T) + np.cov(other.T))
    within += _SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    return np.asarray(np.linalg.solve(within, one.mean(axis=0) - other.mean(axis=0)) / scale)


def _enough(forecast: NDArray[np.bool_]) -> bool:
    return bool(min(forecast.sum(), (~forecast).sum()) >= _LEAST_TILES)


def _area(score: NDArray[np.float64], forecast: NDArray[np.bool_]) -> float:
    """The chance that a forecast tile has the higher score of two, one of each kind."""
    if not _enough(forecast):
        return float("nan")
    count, other = int(forecast.sum()), int((~forecast).sum())
    ranks = scipy.stats.rankdata(score)
    return float((ranks[forecast].sum() - count * (count + 1) / 2) / (count * other))


def _tiles(frame: NDArray[np.generic]) -> NDArray[np.generic]:
    """Disjoint tiles ``(n, TILE, TILE)`` of a frame ``(h, w)``."""
    return blocks(frame, TILE).reshape(-1, TILE, TILE)


def _powers(log: NDArray[np.float64]) -> list[float]:
    """Logarithms of the mean power in octaves of wavelength, from 2 to 4 pixels to 32 to 64."""
    taper = np.sin(np.pi * (np.arange(TILE) + 0.5) / TILE)
    window = np.outer(taper, taper)
    power = np.abs(np.fft.fft2((log - log.mean()) * window)) ** 2 / (window**2).sum()
    number = np.hypot(*np.meshgrid(*[np.fft.fftfreq(TILE)] * 2))
    edges = [1.0 / 2.0**octave for octave in range(1, 7)]
    bands = [(number <= above) & (number > below) for above, below in pairwise(edges)]
    return [float(np.log(power[band].mean() + _LEAST_POWER)) for band in bands]


def _tails(steps: NDArray[np.float64]) -> float:
    """Logarithm of the kurtosis about 0: large where few steps are much larger than most."""
    square = (steps**2).mean()
    return float(np.log((steps**4).mean() / square**2)) if square > _LEAST_POWER else 0.0
