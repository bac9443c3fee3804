"""Hits, misses, false alarms and correct rejections, and the scores that are formed of their sums."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case, pooled

OUTCOMES = ("hit", "miss", "false_alarm", "correct_rejection")
FORECASTS = ("members", "mean")


def contingency_counts(case: Case, thresholds: Sequence[float], pools: Sequence[int]) -> xr.DataArray:
    """Counts ``(forecast, lead_time, threshold, pool, outcome)`` as integers.

    Single members are pooled (``members``) beside the ensemble mean (``mean``). For a pool of n,
    maxima over blocks of n×n pixels are compared.
    """
    leads = case.truth.shape[0]
    shape = (len(FORECASTS), leads, len(thresholds), len(pools), len(OUTCOMES))
    counts = np.zeros(shape, np.int64)
    for i, forecast in enumerate((case.members, case.mean[None])):
        at_full = Case.of(forecast, case.truth, case.valid)
        for j, pool in enumerate(pools):
            part = pooled(at_full, pool, "max")
            for k, threshold in enumerate(thresholds):
                counts[i, :, k, j] = _count(part, threshold)
    return xr.DataArray(
        counts,
        dims=("forecast", "lead_time", "threshold", "pool", "outcome"),
        coords={
            "forecast": list(FORECASTS),
            "threshold": list(thresholds),
            "pool": list(pools),
            "outcome": list(OUTCOMES),
        },
    )


def _count(case: Case, threshold: float) -> NDArray[np.int64]:
    """Counts ``(t, outcome)``; only pixels that count, which pysteps' functions do not tell apart."""
    wet, forecast = case.truth >= threshold, case.members >= threshold

    def number(pairs: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.asarray((pairs & case.valid).sum(axis=(0, 2, 3), dtype=np.int64))

    return np.stack(
        [number(forecast & wet), number(~forecast & wet), number(forecast & ~wet), number(~forecast & ~wet)],
        axis=-1,
    )


def contingency_scores(counts: xr.DataArray) -> dict[str, xr.DataArray]:
    """CSI, POD, FAR, HSS and frequency bias of (sums of) counts; NaN where undefined.

    Formed by the package `scores`. Those of the ensemble mean have the suffix ``_mean``.
    """
    from scores.categorical import BasicContingencyManager

    result: dict[str, xr.DataArray] = {}
    for forecast, suffix in zip(FORECASTS, ("", "_mean"), strict=True):
        hit, miss, false_alarm, rejection = (
            counts.sel(forecast=forecast, outcome=outcome, drop=True).astype(np.float64)
            for outcome in OUTCOMES
        )
        table = BasicContingencyManager(
            {
                "tp_count": hit,
                "tn_count": rejection,
                "fp_count": false_alarm,
                "fn_count": miss,
                "total_count": hit + miss + false_alarm + rejection,
            }
        )
        result |= {
            f"csi{suffix}": table.critical_success_index(),
            f"pod{suffix}": table.probability_of_detection(),
            f"far{suffix}": table.false_alarm_ratio(),
            f"hss{suffix}": table.heidke_skill_score(),
            f"bias{suffix}": table.frequency_bias(),
        }
    return result
