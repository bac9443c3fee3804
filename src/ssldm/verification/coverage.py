"""How much of what was observed a contestant forecasts: skill on a part of the pixels is not skill on all."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def coverage_counts(
    members: NDArray[np.floating], truth: NDArray[np.floating], valid: NDArray[np.bool_]
) -> xr.DataArray:
    """Numbers of pixels ``(lead_time, coverage_term)``: observed, of these forecast, and of these counted.

    Args:
        members: ``(m, t, h, w)``, NaN where there is no forecast.
        truth: ``(t, h, w)``, NaN unobserved.
        valid: ``(t, h, w)``, the pixels that count for every contestant.
    """
    observed = np.isfinite(truth)
    forecast = observed & np.isfinite(members).all(axis=0)
    counts = [part.sum(axis=(1, 2)) for part in (observed, forecast, valid)]
    return xr.DataArray(
        np.stack(counts, axis=-1).astype(np.int64),
        dims=("lead_time", "coverage_term"),
        coords={"coverage_term": ["observed", "forecast", "counted"]},
    )


def coverage_scores(counts: xr.DataArray) -> dict[str, xr.DataArray]:
    """Shares of the observed pixels that are forecast, and that count as every contestant forecasts them."""
    observed = counts.sel(coverage_term="observed", drop=True)
    observed = observed.where(observed > 0)
    return {
        "coverage": counts.sel(coverage_term="forecast", drop=True) / observed,
        "counted": counts.sel(coverage_term="counted", drop=True) / observed,
    }
