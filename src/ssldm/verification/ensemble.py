"""Is the truth one of the members? Rank histogram, and spread beside the error of the mean."""

import numpy as np
import xarray as xr

from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.verification.case import Case


def rank_counts(case: Case, rng: np.random.Generator) -> xr.DataArray:
    """How often the observation had rank r = 0…m among the members (Hamill 2001): ``(lead_time, rank)``.

    Ties are dealt out at random. Pixels where neither any member nor the observation reaches 0.1 mm/h are
    left out: they would flatten the histogram whatever the forecast. The choice treats members and
    observation alike, so a calibrated ensemble still has a flat histogram.
    """
    count, leads = len(case.members), case.truth.shape[0]
    below = (case.members < case.truth).sum(axis=0)
    equal = (case.members == case.truth).sum(axis=0)
    rank = below + np.floor(rng.random(below.shape) * (equal + 1)).astype(np.int64)
    rainy = case.valid & (np.maximum(case.members.max(axis=0), case.truth) >= WET_MM_PER_HOUR)
    counts = [np.bincount(rank[lead][rainy[lead]], minlength=count + 1) for lead in range(leads)]
    return xr.DataArray(
        np.asarray(counts, np.int64), dims=("lead_time", "rank"), coords={"rank": np.arange(count + 1)}
    )


def rank_frequency(counts: xr.DataArray) -> xr.DataArray:
    """Frequencies times m + 1, so that 1 everywhere is flat."""
    total = counts.sum("rank")
    return counts * counts.sizes["rank"] / total.where(total > 0)


def error_sums(case: Case) -> xr.DataArray:
    """Sums ``(lead_time, moment)`` over the pixels that count, in mm/h or its square.

    The moments: ``number`` of pixels, ``forecast`` and ``observed`` rain, absolute and squared error of the
    mean, and ``variance`` of the members (with m - 1).
    """
    mean = case.members.mean(axis=0, dtype=np.float64)
    error = mean - case.truth
    count = len(case.members)
    variance = case.members.var(axis=0, ddof=1, dtype=np.float64) if count > 1 else np.full_like(mean, np.nan)
    terms = {
        "number": np.ones_like(mean),
        "forecast": mean,
        "observed": case.truth.astype(np.float64),
        "absolute_error": np.abs(error),
        "squared_error": error**2,
        "variance": variance,
    }
    sums = [np.where(case.valid, term, 0.0).sum(axis=(1, 2)) for term in terms.values()]
    return xr.DataArray(np.stack(sums, axis=-1), dims=("lead_time", "moment"), coords={"moment": list(terms)})


def error_scores(sums: xr.DataArray, members: int) -> dict[str, xr.DataArray]:
    """Mean rain, errors of the ensemble mean, spread and spread/skill.

    For a calibrated ensemble of any size √((m + 1)/m ⟨variance⟩) equals the root mean square error of its
    mean (Fortin et al. 2014), so the ratio is 1; NaN for a single member.
    """
    number = sums.sel(moment="number", drop=True)

    def mean_of(moment: str) -> xr.DataArray:
        return sums.sel(moment=moment, drop=True) / number.where(number > 0)

    rmse = mean_of("squared_error") ** 0.5
    spread = ((members + 1) / members * mean_of("variance")) ** 0.5
    if members == 1:
        spread = xr.full_like(spread, np.nan)
    return {
        "mean_rate": mean_of("forecast"),
        "observed_rate": mean_of("observed"),
        "mae": mean_of("absolute_error"),
        "rmse": rmse,
        "spread": spread,
        "spread_skill": spread / rmse.where(rmse > 0),
    }
