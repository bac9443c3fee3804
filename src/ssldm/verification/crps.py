"""Continuous ranked probability score of an ensemble."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case, pooled

POOLINGS = ("mean", "max")


def crps_ensemble(
    members: NDArray[np.floating],
    observed: NDArray[np.floating],
    *,
    fair: bool = False,
    groups: NDArray[np.integer] | None = None,
) -> NDArray[np.float32]:
    """CRPS = ⟨|x_i - y|⟩_i - ½ ⟨|x_i - x_j|⟩_ij at each pixel, in the unit of the members.

    The second mean runs over all pairs, or, where ``fair``, over pairs of members that are independent of
    each other (Ferro 2014): how far two that depend on each other are apart says nothing of how wide the
    distribution is that both are drawn from. Without such pairs the absolute error stands for the fair score.

    Args:
        members: ``(m, ...)``
        observed: ``(...)``
        groups: ``(m,)``, see `ssldm.verification.case.Case`; all members are independent where None.

    Returns:
        ``(...)``; NaN where the observation or a member is.
    """
    plain, fair_score = _plain_and_fair(
        members, observed, np.arange(len(members)) if groups is None else groups
    )
    return np.asarray(fair_score if fair else plain, dtype=np.float32)


def _plain_and_fair(
    members: NDArray[np.floating], observed: NDArray[np.floating], groups: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    error = np.abs(members - observed).mean(axis=0)
    square, pairs = len(members) ** 2, _sum_over_pairs(members)
    dependent = [members[groups == group] for group in np.unique(groups)]
    between = pairs - sum(_sum_over_pairs(part) for part in dependent if len(part) > 1)
    number = square - sum(len(part) ** 2 for part in dependent)
    return error - 0.5 * pairs / square, error - 0.5 * between / max(number, 1)


def _sum_over_pairs(members: NDArray[np.floating]) -> NDArray[np.floating]:
    """Σ_ij |x_i - x_j|, of the sorted members, so that memory does not grow with their square."""
    count = len(members)
    ordered = np.sort(members, axis=0)  # NaN sorts last and stays NaN in the sum
    rank = 2.0 * np.arange(count) - count + 1.0
    return np.asarray(2.0 * np.tensordot(rank, ordered, axes=1))


def crps_sums(case: Case, pools: Sequence[int]) -> xr.DataArray:
    """Sums ``(lead_time, pool, pooling, crps_term)`` over pixels, or over blocks of n×n pixels.

    The terms are ``plain`` and ``fair`` CRPS in mm/h, see `crps_ensemble`, and the ``number`` of pixels.
    """
    sums = np.zeros((case.truth.shape[0], len(pools), len(POOLINGS), 3))
    for i, pool in enumerate(pools):
        for j, pooling in enumerate(POOLINGS):
            if pool == 1 and j > 0:  # a pixel is its own mean and maximum
                sums[:, i, j] = sums[:, i, 0]
                continue
            part = pooled(case, pool, pooling)
            plain, fair = _plain_and_fair(part.members, part.truth, part.groups)
            terms = plain, fair, np.ones_like(plain)
            for k, term in enumerate(terms):
                sums[:, i, j, k] = np.where(part.valid, term, 0.0).sum(axis=(1, 2), dtype=np.float64)
    return xr.DataArray(
        sums,
        dims=("lead_time", "pool", "pooling", "crps_term"),
        coords={
            "pool": list(pools),
            "pooling": list(POOLINGS),
            "crps_term": ["plain", "fair", "number"],
        },
    )


def weighted_crps_sums(case: Case, thresholds: Sequence[float]) -> xr.DataArray:
    """Sums ``(lead_time, threshold, weighted_crps_term)`` over pixels of the CRPS of rain above thresholds.

    The threshold-weighted CRPS of Gneiting and Ranjan (2011) with the weight 1 from the threshold on, which
    is the CRPS of max(x, threshold) (Allen et al. 2023), ``plain``, and the ``number`` of pixels.
    """
    sums = np.zeros((len(case.truth), len(thresholds), 2))
    for i, threshold in enumerate(thresholds):
        above = (np.maximum(field, np.float32(threshold)) for field in (case.members, case.truth))
        found = np.where(case.valid, crps_ensemble(*above), 0.0)
        sums[:, i, 0] = found.sum(axis=(1, 2), dtype=np.float64)
        sums[:, i, 1] = case.valid.sum(axis=(1, 2))
    return xr.DataArray(
        sums,
        dims=("lead_time", "threshold", "weighted_crps_term"),
        coords={"threshold": list(thresholds), "weighted_crps_term": ["plain", "number"]},
    )


def weighted_crps_scores(sums: xr.DataArray) -> xr.DataArray:
    """``crps_above`` by threshold in mm/h; NaN without pixels."""
    number = sums.sel(weighted_crps_term="number", drop=True)
    return sums.sel(weighted_crps_term="plain", drop=True) / number.where(number > 0)


def crps_scores(sums: xr.DataArray, drawn: xr.DataArray) -> dict[str, xr.DataArray]:
    """``crps`` and ``crps_fair`` by pool (block means), ``crps_max`` of block maxima.

    NaN without pixels; ``crps_fair`` also where not ``drawn``: where a case has no independent members.
    """
    number = sums.sel(crps_term="number", drop=True)
    mean = sums / number.where(number > 0)
    return {
        "crps": mean.sel(crps_term="plain", pooling="mean", drop=True),
        "crps_fair": mean.sel(crps_term="fair", pooling="mean", drop=True).where(drawn),
        "crps_max": mean.sel(crps_term="plain", pooling="max", drop=True),
    }
