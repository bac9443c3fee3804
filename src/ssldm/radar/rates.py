"""Rain rates of what an xarray object holds: by its units, its valid range and the period of its amounts."""

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.times import minutes_of, regular_step, utc_times
from ssldm.radar.units import LEAST_DECIBEL, Quantity, ZRRelation, quantity_of

_BOUNDS = ("time_bnds", "time_bounds", "time_bnd")
# A period in words, as in "rainfall of the last 1 hour", "acc_1h" or "hourly".
_PERIOD = re.compile(
    r"(?<![\d.])(\d+)[\s_-]*(h|hr|hour|hours|min|minute|minutes|d|day|days)(?![a-z])", re.IGNORECASE
)
_PERIOD_NAMES = {"hourly": 60, "daily": 1440}
_MINUTES = {"h": 60, "m": 1, "d": 1440}


@dataclass(frozen=True)
class Rates:
    """Rain rates in mm/h and what is known of them.

    Attributes:
        rate: lazily, float32.
        relation: that reflectivity was converted by.
        cell_methods: "time: mean" of amounts and of rates that say so, "time: point" of reflectivity.
        minutes: that an amount was gathered in.
    """

    rate: xr.DataArray
    relation: ZRRelation | None = None
    cell_methods: str | None = None
    minutes: float | None = None


def rates_of(data: xr.DataArray, dataset: xr.Dataset, times: xr.DataArray, options: ReadOptions) -> Rates:
    """Rain rates of a variable.

    Args:
        data: any units that `quantity_of` knows.
        dataset: where bounds of time may be.
        times: of its frames, as they are in the dataset.
        options: relation of reflectivity.

    Raises:
        ObservationError: units of something else, values that are no numbers, amounts of no period.
    """
    units = data.attrs.get("units")
    quantity = quantity_of(str(units or ""))
    if quantity is None:
        raise ObservationError(
            f"expected units of a rate (mm h-1), an amount (mm) or reflectivity (dBZ), found {units!r}"
        )
    data = _within_valid_range(_numbers(data))
    if quantity.kind == "reflectivity":
        relation = options.zr or ZRRelation()
        measured = data.where((data >= LEAST_DECIBEL) | (data == -np.inf))
        rate = xr.apply_ufunc(relation.rain_rate, measured, dask="parallelized", output_dtypes=[data.dtype])
        return Rates(_single(rate), relation, "time: point")
    if quantity.kind == "amount":
        minutes = _minutes(data, dataset, times)
        return Rates(_single(data * (quantity.factor * 60.0 / minutes)), None, "time: mean", minutes)
    stated = re.search(r"time: (mean|point)", str(data.attrs.get("cell_methods", "")))
    return Rates(_scaled(data, quantity), None, stated and stated[0])


def _numbers(data: xr.DataArray) -> xr.DataArray:
    """Values of at least single precision.

    Raises:
        ObservationError: values that are no numbers.
    """
    if data.dtype.kind in "fiu":
        return data if data.dtype.itemsize >= 4 and data.dtype.kind == "f" else data.astype(np.float64)
    if data.dtype.kind == "O":
        try:
            return data.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ObservationError(f"expected numbers, found objects ({error})") from error
    raise ObservationError(f"expected numbers, found {data.dtype}")


def _scaled(data: xr.DataArray, quantity: Quantity) -> xr.DataArray:
    return _single(data if quantity.factor == 1.0 else data * quantity.factor)


def _single(rate: xr.DataArray) -> xr.DataArray:
    return rate if rate.dtype == np.float32 else rate.astype(np.float32)


def _within_valid_range(data: xr.DataArray) -> xr.DataArray:
    """Values outside of what the file declares valid are unobserved (CF 2.5.1)."""
    attributes = data.attrs
    low, high = attributes.get("valid_min"), attributes.get("valid_max")
    if (both := attributes.get("valid_range")) is not None:
        if np.size(both) != 2:
            raise ObservationError(f"expected two numbers as valid_range, found {both!r}")
        low, high = both
    if low is None and high is None:
        return data
    scale, offset = (
        data.encoding.get(name, usual) for name, usual in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    packed = data.encoding.get("dtype")
    # The range is of the packed values where it has their type.
    given = np.asarray(low if low is not None else high).dtype
    if (scale, offset) == (1.0, 0.0) or packed is None or np.dtype(packed).kind == "f" or given.kind == "f":
        scale, offset = 1.0, 0.0
    slack = 1e-6 * max(abs(float(scale)), 1e-6)
    valid = xr.ones_like(data, dtype=bool)
    if low is not None:
        valid = valid & (data >= float(low) * scale + offset - slack)
    if high is not None:
        valid = valid & (data <= float(high) * scale + offset + slack)
    return data.where(valid)


def _minutes(data: xr.DataArray, dataset: xr.Dataset, times: xr.DataArray) -> float:
    """Minutes that an amount was gathered in: bounds of time, a start time, or the one time step.

    Raises:
        ObservationError: none of these, several periods, or a step that the data's own words contradict.
    """
    names = (times.attrs.get("bounds"), times.encoding.get("bounds"), *_BOUNDS)
    bounds = next((dataset[name] for name in names if name in dataset.variables), None)
    if bounds is not None:
        starts, ends = (utc_times(bounds.values.reshape(-1, 2)[:, i]) for i in (0, 1))
        return _one_period(ends - starts)
    if "start_time" in dataset.variables:
        starts = utc_times(dataset["start_time"].values)
        return _one_period(utc_times(times.to_index()) - starts)
    in_words = _period_in_words(data)
    if times.size < 2:
        if in_words is None:
            raise ObservationError(
                "expected one period for all amounts (bounds of time, start_time or an equal time step), "
                "found one frame"
            )
        return in_words
    step = float(regular_step(np.sort(utc_times(times.to_index()))) / np.timedelta64(1, "m"))
    if in_words is not None and abs(in_words / step - 1.0) > 0.05:
        raise ObservationError(
            f"expected amounts of the time step, {step:g} min, or bounds of time, found {data.name!r}, "
            f"which speaks of {in_words:g} min"
        )
    return step


def _one_period(periods: "np.ndarray[tuple[int, ...], np.dtype[np.timedelta64]]") -> float:
    if (periods <= np.timedelta64(0)).any() or len(np.unique(periods)) > 1:
        found = ", ".join(dict.fromkeys(minutes_of(period) for period in np.unique(periods)))
        raise ObservationError(f"expected one period for all amounts, found {found} minutes")
    return float(periods.ravel()[0] / np.timedelta64(1, "m"))


def _period_in_words(data: xr.DataArray) -> float | None:
    """Minutes that name or long name of an amount speak of; None where they do not, or of several."""
    words = " ".join(str(text) for text in (data.name, data.attrs.get("long_name", "")))
    found = {float(int(number) * _MINUTES[unit[0].lower()]) for number, unit in _PERIOD.findall(words)}
    found |= {float(minutes) for name, minutes in _PERIOD_NAMES.items() if name in words.lower()}
    return found.pop() if len(found) == 1 else None
