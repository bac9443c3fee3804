"""Rain amounts over a period, which may begin before the forecast does."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.products.nowcast import check_period, check_shares, described, members_of, step_of

_ROUNDING = 1e-6


def accumulation(
    forecast: xr.Dataset,
    period: Any,
    *,
    observations: xr.DataArray | None = None,
    least_share: float = 1.0,
) -> xr.DataArray:
    """Rain of the period that ends at each lead time.

    The rate at a lead time stands for the time step that ends there. Where a part of a period is not known,
    because it lies before the first frame or where there is no forecast, the rest stands for all of it if it
    is at least so much; else the amount is NaN.

    Args:
        forecast: a nowcast, with or without rows and columns.
        period: such as "60min", a whole number of time steps.
        observations: ``(time, …)`` in mm/h, joined in front: those whose times are whole time steps before
            the first lead time. A step that was observed is the same in all members.
        least_share: of a period that must be known, 0 to 1.

    Returns:
        ``precipitation_amount (member, lead_time, …)`` in mm, with the coordinate ``known_share``, of each
        period, ``(lead_time, …)``; over members, that of the member of which least is known.

    Raises:
        ObservationError: no nowcast, uneven lead times, or observations of another grid.
        ConfigurationError: no whole number of time steps, or a share that is none.
    """
    rate, step = members_of(forecast), step_of(forecast)
    count = check_period(period, step)
    least = float(check_shares(least_share, "a share"))
    bare = rate.drop_vars([name for name in rate.coords if name not in rate.dims])
    leads = rate["lead_time"].values[0] - np.arange(count - 1, 0, -1) * step
    if observations is None:
        before = xr.full_like(bare, np.nan).isel(lead_time=[0] * len(leads)).assign_coords(lead_time=leads)
    else:
        times = forecast["forecast_reference_time"].values + leads
        before = _observed(observations, bare, times).assign_coords(lead_time=leads)
    whole = xr.concat([before, bare], dim="lead_time")
    windows = whole.rolling(lead_time=count, min_periods=1)
    total, known = windows.sum(), windows.count()
    share = (known / count).isel(lead_time=slice(len(leads), None))
    enough = (share > 0.0) & (share >= least - _ROUNDING)
    hours = float(step / np.timedelta64(1, "h"))
    amount = (total.isel(lead_time=slice(len(leads), None)) / share.where(enough) * hours).astype(np.float32)
    amount = amount.transpose(*rate.dims).rename("precipitation_amount")
    least_known = share.min("member").assign_attrs(units="1", long_name="share of the period that is known")
    amount = amount.assign_coords({**rate.coords, "known_share": least_known})
    minutes = count * hours * 60.0
    return described(
        amount,
        rate,
        units="mm",
        standard_name="lwe_thickness_of_precipitation_amount",
        long_name=f"rain of the {minutes:g} min until the lead time",
        cell_methods="lead_time: sum",
    )


def _observed(observations: xr.DataArray, rate: xr.DataArray, times: NDArray[np.datetime64]) -> xr.DataArray:
    """Frames ``(member, lead_time, …)``, alike in all members; NaN where none was observed at a time."""
    space = [name for name in rate.dims if name not in ("member", "lead_time")]
    for name in space:
        if name not in observations.dims or not np.array_equal(observations[name], rate[name]):
            raise ObservationError(f"expected observations on the forecast's grid, found another {name}")
    frames = observations.reset_coords(drop=True).reindex(time=times).rename(time="lead_time")
    return frames.expand_dims(member=rate["member"]).transpose(*rate.dims).astype(rate.dtype)
