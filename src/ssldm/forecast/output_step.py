"""Forecasts in longer steps than the model's: means over them."""

import numpy as np
import xarray as xr

from ssldm.errors import ArgumentError
from ssldm.forecast.encoding import LEAD_BOUNDS
from ssldm.products.nowcast import check_period, members_of, step_of


def in_steps_of(forecast: xr.Dataset, step: np.timedelta64) -> xr.Dataset:
    """The mean rates of the steps that end at every so many-th lead time; lazy where the forecast is.

    Args:
        forecast: a nowcast.
        step: a whole number of its time steps. Lead times after the last whole step are left out.

    Returns:
        The nowcast with fewer lead times, NaN where any that was averaged is, and the bounds of the steps.

    Raises:
        ConfigurationError: a step that is no whole number of time steps, or longer than the forecast.
    """
    count = check_period(step, step_of(forecast))
    whole = forecast.sizes["lead_time"] // count
    if not whole:
        raise ArgumentError(
            f"expected an output step within the forecast, found {step / np.timedelta64(1, 'm'):g} min"
        )
    if count == 1:
        return forecast
    rate = members_of(forecast).isel(lead_time=slice(0, whole * count))
    parts = rate.reset_coords(drop=True).drop_vars("lead_time").coarsen(lead_time=count)
    mean = parts.construct(lead_time=("lead_time", "part")).mean("part", skipna=False)
    mean = mean.astype(rate.dtype).assign_attrs(rate.attrs | {"cell_methods": "lead_time: mean"})
    ends = rate.isel(lead_time=slice(count - 1, None, count))
    kept = {name: values for name, values in ends.coords.items() if name not in mean.coords}
    kept["lead_time"].attrs["bounds"] = LEAD_BOUNDS
    lead = kept["lead_time"].values
    bounds = xr.Variable(("lead_time", "bound"), np.stack([lead - step, lead], axis=-1))
    return xr.Dataset({rate.name: mean, LEAD_BOUNDS: bounds}, attrs=forecast.attrs).assign_coords(kept)
