"""Rain amounts over a period, which may begin before the forecast does."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.products.nowcast import check_period, check_shares, described, members_of, step_of
from ssldm.radar.observations import NAME

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
        observations: ``(time, …)`` in mm/h to join in front, see `joined`.
        least_share: of a period that must be known, 0 to 1.

    Returns:
        ``precipitation_amount (member, lead_time, …)`` in mm, with the coordinate ``known_share``, of each
        period, ``(lead_time, …)``; over members, that of the member of which least is known.

    Raises:
        ObservationError: no nowcast, uneven lead times, or observations of another grid.
        ConfigurationError: no whole number of time steps, or a share that is none.
    """
    step = step_of(forecast)
    count = check_period(period, step)
    least = float(check_shares(least_share, "a share"))
    own = members_of(forecast)
    rate = own if observations is None else members_of(joined(forecast, observations))
    total, known = xr.apply_ufunc(
        lambda block: _moving_sums(block, count, own.sizes["lead_time"]),
        rate.chunk({"lead_time": -1}) if rate.chunks else rate,
        input_core_dims=[["lead_time"]],
        output_core_dims=[["lead_time"], ["lead_time"]],
        exclude_dims={"lead_time"},
        dask="parallelized",
        output_dtypes=[np.float32, np.float32],
        dask_gufunc_kwargs={"output_sizes": {"lead_time": own.sizes["lead_time"]}},
    )
    hours = float(step / np.timedelta64(1, "h"))
    enough = known >= max(count * least - _ROUNDING, 1)
    amount = (total * np.float32(count * hours) / known.where(enough)).astype(np.float32)
    amount = amount.transpose(*own.dims).rename("precipitation_amount")
    share = known.min("member") / np.float32(count)
    share.attrs = {"units": "1", "long_name": "share of the period that is known"}
    amount = amount.assign_coords({**own.coords, "known_share": share})
    minutes = count * hours * 60.0
    return described(
        amount,
        own,
        units="mm",
        standard_name="lwe_thickness_of_precipitation_amount",
        long_name=f"rain of the {minutes:g} min until the lead time",
        cell_methods="lead_time: sum",
    )


def _moving_sums(
    rate: NDArray[np.floating], count: int, leads: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the ``count`` frames until each of the last ``leads``: the sum of what is known, and how many are.

    Args:
        rate: ``(…, t)``, NaN where it is not known.
        count: frames of a period.
        leads: how many periods.
    """
    # Frame after frame, as they lie in memory.
    shape = leads, *rate.shape[:-1]
    total, number = np.empty(shape, np.float32), np.empty(shape, np.float32)
    # One member after the other, so that what is in between is small and its memory used again.
    for member in np.ndindex(rate.shape[:1]):
        frames = np.moveaxis(rate[member], -1, 0)
        known = np.isfinite(frames)
        total[:, *member] = sums_until(np.where(known, frames, 0.0), count)[-leads:]
        number[:, *member] = sums_until(known, count)[-leads:]
    return np.moveaxis(total, 0, -1), np.moveaxis(number, 0, -1)


def sums_until(frames: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Of the ``count`` frames ``(t, …)`` until each, of fewer where there are no more.

    Added up by ones, twos, fours and so on: of twelve frames four and eight.
    """
    power = frames.astype(np.float32)
    total = np.zeros_like(power)
    size, done = 1, 0
    while True:
        if count & size:
            total[done:] += power[: max(len(power) - done, 0)]
            done += size
        if 2 * size > count:
            return total
        doubled = power.copy()
        doubled[size:] += power[:-size]
        power, size = doubled, 2 * size


def joined(forecast: xr.Dataset, observations: xr.DataArray) -> xr.Dataset:
    """The nowcast with what was observed before it, at lead times of 0 and less, alike in all members.

    Args:
        forecast: a nowcast, with or without rows and columns.
        observations: ``(time, …)`` in mm/h on the same grid. Taken are those whose times are whole time steps
            before the first lead time; one that is missing between them is NaN.

    Raises:
        ObservationError: no nowcast, uneven lead times, or observations of another grid.
    """
    rate, step = members_of(forecast), step_of(forecast)
    space = [name for name in rate.dims if name not in ("member", "lead_time")]
    for name in ("time", *space):
        if name not in observations.dims:
            raise ObservationError(f"expected observations with {name}, found {observations.dims}")
        if name != "time" and not np.array_equal(observations[name], rate[name]):
            raise ObservationError(f"expected observations on the forecast's grid, found another {name}")
    if left := set(observations.dims) - {"time", *space}:
        raise ObservationError(
            f"expected observations of the forecast's places, found them over "
            f"{', '.join(sorted(map(str, left)))}: join them before places are taken"
        )
    first = rate["lead_time"].values[0]
    start = forecast["forecast_reference_time"].values + first
    frames = max(int((start - observations["time"].values.min()) // step), 0)
    leads = first - np.arange(frames, 0, -1) * step
    times = forecast["forecast_reference_time"].values + leads
    seen = observations.reset_coords(drop=True).reindex(time=times).rename(time="lead_time")
    seen = seen.expand_dims(member=rate["member"]).transpose(*rate.dims).astype(rate.dtype)
    bare = rate.drop_vars([name for name in rate.coords if name not in rate.dims])
    whole = xr.concat([seen.assign_coords(lead_time=leads), bare], dim="lead_time").assign_attrs(rate.attrs)
    others = {name: values for name, values in rate.coords.items() if "lead_time" not in values.dims}
    valid = forecast["forecast_reference_time"] + whole["lead_time"]
    whole = whole.assign_coords({**others, "valid_time": ("lead_time", valid.values)})
    return xr.Dataset({NAME: whole}, attrs=forecast.attrs)
