"""Probabilities of exceedance: Brier score and its parts, reliability, ROC."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ssldm.verification.case import Case

OUTCOMES = ("dry", "wet")


def probability_counts(case: Case, thresholds: Sequence[float]) -> xr.DataArray:
    """How often k of m members reached a threshold, by what was observed.

    Returns:
        Integers ``(lead_time, threshold, exceeding, observed)`` with k = 0…m and observed dry or wet.
    """
    count = len(case.members)
    leads = case.truth.shape[0]
    found = np.zeros((leads, len(thresholds), count + 1, 2), np.int64)
    for i, threshold in enumerate(thresholds):
        exceeding = (case.members >= threshold).sum(axis=0)
        cell = 2 * exceeding + (case.truth >= threshold)
        for lead in range(leads):
            numbers = np.bincount(cell[lead][case.valid[lead]], minlength=2 * (count + 1))
            found[lead, i] = numbers.reshape(count + 1, 2)
    return xr.DataArray(
        found,
        dims=("lead_time", "threshold", "exceeding", "observed"),
        coords={
            "threshold": list(thresholds),
            "exceeding": np.arange(count + 1),
            "observed": list(OUTCOMES),
        },
    )


def probability_scores(counts: xr.DataArray) -> dict[str, xr.DataArray]:
    """Scores of (sums of) counts; NaN where undefined.

    Brier score ⟨(p - o)²⟩ = reliability - resolution + uncertainty (Murphy 1973), exact because p = k / m
    takes m + 1 values; area under the ROC curve by trapezoids through the points of k = 0…m + 1;
    ``observed_frequency`` and ``forecast_share`` by k for the reliability diagram.
    """
    members = counts.sizes["exceeding"] - 1
    probability = counts["exceeding"] / members
    wet = counts.sel(observed="wet", drop=True).astype(np.float64)
    dry = counts.sel(observed="dry", drop=True).astype(np.float64)
    number = wet + dry
    total = _positive(number.sum("exceeding"))
    frequency = wet / _positive(number)
    base_rate = wet.sum("exceeding") / total
    brier = (wet * (probability - 1.0) ** 2 + dry * probability**2).sum("exceeding") / total
    reliability = (number * (probability - frequency.fillna(0.0)) ** 2).sum("exceeding") / total
    resolution = (number * (frequency.fillna(0.0) - base_rate) ** 2).sum("exceeding") / total
    return {
        "brier": brier,
        "brier_reliability": reliability,
        "brier_resolution": resolution,
        "brier_uncertainty": base_rate * (1.0 - base_rate),
        "roc_area": _roc_area(wet, dry),
        "observed_frequency": frequency,
        "forecast_share": number / total,
    }


def _roc_area(wet: xr.DataArray, dry: xr.DataArray) -> xr.DataArray:
    """Chance that a wet pixel got a higher probability than a dry one, ties counting half (Mason 1982)."""
    below = dry.cumsum("exceeding") - 0.5 * dry
    pairs = _positive(wet.sum("exceeding") * dry.sum("exceeding"))
    return (wet * below).sum("exceeding") / pairs


def _positive(number: xr.DataArray) -> xr.DataArray:
    return number.where(number > 0)
