"""Fractions skill score (Roberts and Lean 2008) of the neighbourhood probability of an ensemble."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case


def fraction_sums(case: Case, thresholds: Sequence[float], scales: Sequence[int]) -> xr.DataArray:
    """Sums from which the score is formed: ``(lead_time, threshold, scale, fraction_term)``.

    Fractions are taken over the pixels that count in squares of n×n pixels that lie in the domain, those of
    an ensemble over all members (Schwartz et al. 2010); a square weighs as much as its share of pixels that
    count. Scales larger than the domain have sums of 0. The terms are ``error`` Σ(f - o)² and
    ``reference`` Σ(f² + o²).
    """
    leads = case.truth.shape[0]
    sums = np.zeros((leads, len(thresholds), len(scales), 2))
    valid = _running_sums(case.valid.astype(np.float64))
    for i, threshold in enumerate(thresholds):
        wet = (case.members >= threshold) & case.valid
        forecast_sums = _running_sums(wet.mean(axis=0))
        observed_sums = _running_sums(((case.truth >= threshold) & case.valid).astype(np.float64))
        for j, scale in enumerate(scales):
            if scale > min(case.truth.shape[-2:]):
                continue
            weight = _box_mean(valid, scale)
            share = np.maximum(weight, 1e-9)
            forecast, observed = (
                _box_mean(forecast_sums, scale) / share,
                _box_mean(observed_sums, scale) / share,
            )
            error, reference = (forecast - observed) ** 2, forecast**2 + observed**2
            for k, term in enumerate((error, reference)):
                sums[:, i, j, k] = (weight * term).sum(axis=(1, 2))
    return xr.DataArray(
        sums,
        dims=("lead_time", "threshold", "scale", "fraction_term"),
        coords={
            "threshold": list(thresholds),
            "scale": list(scales),
            "fraction_term": ["error", "reference"],
        },
    )


def fractions_skill_score(sums: xr.DataArray) -> xr.DataArray:
    """1 - Σ(f - o)² / Σ(f² + o²); NaN where neither rained."""
    error, reference = (sums.sel(fraction_term=term, drop=True) for term in ("error", "reference"))
    return 1.0 - error / reference.where(reference > 0)


def _running_sums(field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over all rectangles of ``(t, h, w)`` that begin at the first row and column."""
    return np.pad(field.cumsum(axis=-2).cumsum(axis=-1), ((0, 0), (1, 0), (1, 0)))


def _box_mean(running: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Means over all squares of ``side`` pixels inside of a field, of its running sums."""
    lower, upper = slice(None, -side), slice(side, None)
    box = (
        running[:, upper, upper]
        - running[:, lower, upper]
        - running[:, upper, lower]
        + running[:, lower, lower]
    )
    return np.asarray(box / side**2)
