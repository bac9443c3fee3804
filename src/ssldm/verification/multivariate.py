"""Scores of whole fields: members with the right rain at each place may still be wrong between places.

Of means over blocks of pixels, so that a field is a few hundred numbers.
"""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case, pooled

# Side of the blocks in pixels, and how many of them the two blocks of a pair are apart.
_BLOCK = 4
_APART = (1, 2, 4, 8)
_ORDER = 0.5
_TERMS = ("energy", "fields", "variogram", "pairs")


def multivariate_sums(case: Case) -> xr.DataArray:
    """Sums ``(lead_time, multivariate_term)`` over fields and over pairs of blocks.

    - ``energy``: ⟨|x_i - y|⟩_i - ½ ⟨|x_i - x_j|⟩_ij of fields as vectors, |·| the root of the mean square
      over the blocks that count (Gneiting and Raftery 2007), in mm/h, and the number of ``fields``.
    - ``variogram``: (|y_a - y_b|^½ - ⟨|x_ia - x_ib|^½⟩_i)² of pairs of blocks a, b in a row or column, 4 to
      32 pixels apart (Scheuerer and Hamill 2015), and the number of ``pairs``.
    """
    part = pooled(case, _BLOCK, "mean")
    sums = np.zeros((len(case.truth), len(_TERMS)))
    for lead, valid in enumerate(part.valid):
        if valid.any():
            sums[lead, :2] = _energy(part.members[:, lead][:, valid], part.truth[lead][valid]), 1.0
        sums[lead, 2:] = _variogram(part.members[:, lead], part.truth[lead], valid)
    return xr.DataArray(
        sums, dims=("lead_time", "multivariate_term"), coords={"multivariate_term": list(_TERMS)}
    )


def multivariate_scores(sums: xr.DataArray) -> dict[str, xr.DataArray]:
    """``energy_score`` in mm/h and ``variogram_score`` in (mm/h)^½ squared; NaN where nothing counts."""
    found = {}
    for score, number in (("energy", "fields"), ("variogram", "pairs")):
        count = sums.sel(multivariate_term=number, drop=True)
        found[f"{score}_score"] = sums.sel(multivariate_term=score, drop=True) / count.where(count > 0)
    return found


def _energy(members: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Of vectors ``(m, n)`` and ``(n,)``."""
    x, y = members.astype(np.float64), truth.astype(np.float64)
    error = np.sqrt(((x - y) ** 2).mean(axis=1)).mean()
    square = (x**2).mean(axis=1)
    apart = square[:, None] + square[None] - 2.0 * (x @ x.T) / x.shape[1]
    # What rounding leaves of a member's distance to itself is not one.
    np.fill_diagonal(apart, 0.0)
    return float(error - 0.5 * np.sqrt(np.maximum(apart, 0.0)).mean())


def _variogram(
    members: NDArray[np.floating], truth: NDArray[np.floating], valid: NDArray[np.bool_]
) -> tuple[float, float]:
    """Sum over pairs of blocks, and how many there are, of fields ``(m, h, w)`` and ``(h, w)``."""
    total, number = 0.0, 0
    for axis in (-2, -1):
        for apart in _APART:
            if apart >= truth.shape[axis]:
                continue
            one, other = ([slice(None)] * 2 for _ in range(2))
            one[axis], other[axis] = slice(None, -apart), slice(apart, None)
            a, b = tuple(one), tuple(other)
            observed = np.abs(truth[a] - truth[b]) ** _ORDER
            expected = (np.abs(members[:, *a] - members[:, *b]) ** _ORDER).mean(axis=0, dtype=np.float64)
            both = valid[a] & valid[b]
            total += float(((observed - expected)[both] ** 2).sum())
            number += int(both.sum())
    return total, float(number)
