"""Is the truth one of the members? Rank histogram, and spread beside the error of the mean."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.verification.case import Case


def rank_counts(case: Case, rng: np.random.Generator) -> xr.DataArray:
    """How often the observation had rank r = 0…m among the members (Hamill 2001): ``(lead_time, rank)``.

    Ties are dealt out at random. Pixels where neither any member nor the observation reaches 0.1 mm/h are
    left out: they would flatten the histogram whatever the forecast. The choice treats members and
    observation alike, so a calibrated ensemble still has a flat histogram.

    Among members that depend on each other it would not be flat: two of opposite noise often have the
    observation between them. So it is ranked among one member of each group, as many times as the largest
    group has members, and a rank among g of them falls on the ranks 0…m that are its share.
    """
    count, leads = len(case.members), case.truth.shape[0]
    groups = case.members_by_group
    counts = np.zeros((leads, count + 1), np.int64)
    for turn in range(max(map(len, groups))):
        members = np.stack([group[turn % len(group)] for group in groups])
        below = (members < case.truth).sum(axis=0)
        equal = (members == case.truth).sum(axis=0)
        drawn = (below + rng.random(below.shape) * (equal + 1)) * ((count + 1) / (len(groups) + 1))
        rank = np.floor(drawn).astype(np.int64)
        rainy = case.valid & (np.maximum(members.max(axis=0), case.truth) >= WET_MM_PER_HOUR)
        for lead in range(leads):
            counts[lead] += np.bincount(rank[lead][rainy[lead]], minlength=count + 1)
    return xr.DataArray(counts, dims=("lead_time", "rank"), coords={"rank": np.arange(count + 1)})


def rank_scores(counts: xr.DataArray) -> dict[str, xr.DataArray]:
    """Frequencies times m + 1, so that 1 everywhere is flat; that of the highest rank also by itself."""
    total = counts.sum("rank")
    frequency = counts * counts.sizes["rank"] / total.where(total > 0)
    return {"rank_frequency": frequency, "highest_rank": frequency.isel(rank=-1, drop=True)}


def error_sums(case: Case) -> xr.DataArray:
    """Sums ``(lead_time, moment)`` over the pixels that count, in mm/h or its square.

    The moments: ``number`` of pixels, ``forecast`` and ``observed`` rain, absolute and squared error of the
    mean, and the ``expected_squared_error`` of the mean, were the observation drawn as the members are.
    """
    mean = case.members.mean(axis=0, dtype=np.float64)
    error = mean - case.truth
    terms = {
        "number": np.ones_like(mean),
        "forecast": mean,
        "observed": case.truth.astype(np.float64),
        "absolute_error": np.abs(error),
        "squared_error": error**2,
        "expected_squared_error": _expected_squared_error(case),
    }
    sums = [np.where(case.valid, term, 0.0).sum(axis=(1, 2)) for term in terms.values()]
    return xr.DataArray(np.stack(sums, axis=-1), dims=("lead_time", "moment"), coords={"moment": list(terms)})


def _expected_squared_error(case: Case) -> NDArray[np.float64]:
    """σ² + Var(mean) at each pixel, both estimated without bias; 0 where no members are independent.

    σ² = ½ ⟨(x_i - x_j)²⟩ over members of different groups. Members of one group have the covariance
    σ² - ½ ⟨(x_i - x_j)²⟩, and Var(mean) is the sum of all covariances over m². With v the variance of the m
    members and V_g that of n_g members of a group (with m and n_g), the sum of both is

        ((m² + Σ n_g²) v - 2 Σ n_g² V_g) / (m² - Σ n_g²).

    Of independent members it is (m + 1)/m times their variance with m - 1 (Fortin et al. 2014).
    """
    groups = case.members_by_group
    square, within = len(case.members) ** 2, sum(len(group) ** 2 for group in groups)
    if within == square:
        return np.zeros(case.truth.shape)
    total = (square + within) * case.members.var(axis=0, dtype=np.float64)
    for group in groups:
        if len(group) > 1:
            total -= 2 * len(group) ** 2 * group.var(axis=0, dtype=np.float64)
    return np.asarray(total / (square - within))


def error_scores(sums: xr.DataArray, drawn: xr.DataArray) -> dict[str, xr.DataArray]:
    """Mean rain, errors of the ensemble mean, spread and spread/skill.

    Spread is the root of the expected squared error, so for a calibrated ensemble of any size spread/skill is
    1. NaN where not ``drawn``: where a case has no independent members.
    """
    number = sums.sel(moment="number", drop=True)

    def mean_of(moment: str) -> xr.DataArray:
        return sums.sel(moment=moment, drop=True) / number.where(number > 0)

    rmse = mean_of("squared_error") ** 0.5
    spread = mean_of("expected_squared_error").where(drawn) ** 0.5
    return {
        "mean_rate": mean_of("forecast"),
        "observed_rate": mean_of("observed"),
        "mae": mean_of("absolute_error"),
        "rmse": rmse,
        "spread": spread,
        "spread_skill": spread / rmse.where(rmse > 0),
    }
