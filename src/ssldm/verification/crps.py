"""Continuous ranked probability score of an ensemble."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case, pooled

POOLINGS = ("mean", "max")


def crps_ensemble(
    members: NDArray[np.floating], observed: NDArray[np.floating], *, fair: bool = False
) -> NDArray[np.float32]:
    """CRPS = ⟨|x_i - y|⟩_i - ½ ⟨|x_i - x_j|⟩_ij at each pixel, in the unit of the members.

    The second mean runs over all pairs, or over pairs of different members where ``fair`` (Ferro 2014).
    The pairs are summed over the sorted members, so memory does not grow with their square.

    Args:
        members: ``(m, ...)``
        observed: ``(...)``

    Returns:
        ``(...)``; NaN where the observation or a member is.
    """
    error, pairs = _error_and_pairs(members, observed)
    count = len(members)
    norm = count * (count - 1) if fair else count**2
    return np.asarray(error - 0.5 * pairs / norm, dtype=np.float32)


def _error_and_pairs(
    members: NDArray[np.floating], observed: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """⟨|x_i - y|⟩_i and Σ_ij |x_i - x_j|."""
    count = len(members)
    ordered = np.sort(members, axis=0)  # NaN sorts last and stays NaN in both sums
    rank = 2.0 * np.arange(count) - count + 1.0
    pairs = 2.0 * np.tensordot(rank, ordered, axes=1)
    return np.abs(members - observed).mean(axis=0), pairs


def crps_sums(case: Case, pools: Sequence[int]) -> xr.DataArray:
    """Sums ``(lead_time, pool, pooling, crps_term)`` over pixels, or over blocks of n×n pixels.

    The terms are ``plain`` and ``fair`` CRPS in mm/h and the ``number`` of pixels; a single member has no
    fair CRPS and its absolute error stands for both.
    """
    sums = np.zeros((case.truth.shape[0], len(pools), len(POOLINGS), 3))
    for i, pool in enumerate(pools):
        for j, pooling in enumerate(POOLINGS):
            if pool == 1 and j > 0:  # a pixel is its own mean and maximum
                sums[:, i, j] = sums[:, i, 0]
                continue
            part = pooled(case, pool, pooling)
            count = len(part.members)
            error, pairs = _error_and_pairs(part.members, part.truth)
            fair_norm = max(count * (count - 1), 1)
            terms = (error - 0.5 * pairs / count**2, error - 0.5 * pairs / fair_norm, np.ones_like(error))
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


def crps_scores(sums: xr.DataArray, members: int) -> dict[str, xr.DataArray]:
    """``crps`` and ``crps_fair`` by pool (block means), ``crps_max`` of block maxima.

    NaN without pixels; there is no fair score of a single member.
    """
    number = sums.sel(crps_term="number", drop=True)
    mean = sums / number.where(number > 0)
    return {
        "crps": mean.sel(crps_term="plain", pooling="mean", drop=True),
        "crps_fair": mean.sel(crps_term="fair", pooling="mean", drop=True).where(members > 1),
        "crps_max": mean.sel(crps_term="plain", pooling="max", drop=True),
    }
