"""Rain rates of what an xarray object holds: by its units, its valid range and the period of its amounts."""

import re
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.times import minutes_of, nominal_step, regular_step, utc_times
from ssldm.radar.units import LEAST_DECIBEL, Quantity, ZRRelation, quantity_of

_BOUNDS = ("time_bnds", "time_bounds", "time_bnd")
# A period in words, as in "rainfall of the last 1 hour", "acc_1h" or "3-hourly".
_PERIOD = re.compile(
    r"(?<![\d.])(\d+)[\s_-]*(hourly|hours?|hrs?|h|minutes?|mins?|seconds?|secs?|daily|days?|d)(?![a-z])",
    re.IGNORECASE,
)
_MINUTES = {"h": 60.0, "m": 1.0, "s": 1.0 / 60.0, "d": 1440.0}
_PERIOD_NAMES = {
    "half-hourly": 30.0,
    "quarter-hourly": 15.0,
    "last hour": 60.0,
    "hourly": 60.0,
    "daily": 1440.0,
    "since midnight": np.nan,
}
# Of a period: bounds that differ by less are rounded, words that differ by more contradict.
_SAME_PERIOD = 0.05


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
    quantity = quantity_in(data)
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


def quantity_in(data: xr.DataArray) -> Quantity:
    """What an array holds, by its units.

    Raises:
        ObservationError: units of something else.
    """
    units = data.attrs.get("units")
    if (quantity := quantity_of(str(units or ""))) is None:
        raise ObservationError(
            f"expected units of a rate (mm h-1), an amount (mm) or reflectivity (dBZ), found {units!r}"
        )
    return quantity


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
    """Values outside of what the file declares valid are unobserved (CF 2.5.1).

    Raises:
        ObservationError: a range that is none.
    """
    attributes = data.attrs
    bounds = [attributes.get("valid_min"), attributes.get("valid_max")]
    if (both := attributes.get("valid_range")) is not None:
        if np.size(both) != 2:
            raise ObservationError(f"expected two numbers as valid_range, found {both!r}")
        bounds = list(np.ravel(both))
    if bounds == [None, None]:
        return data
    low, high = (None if bound is None else _unpacked(data, bound) for bound in bounds)
    if low is not None and high is not None and not low <= high:
        raise ObservationError(f"expected a valid range from low to high, found {low:g} to {high:g}")
    slack = 1e-6 * max(abs(float(data.encoding.get("scale_factor", 1.0))), 1e-6)
    valid = xr.ones_like(data, dtype=bool)
    if low is not None:
        valid = valid & (data >= low - slack)
    if high is not None:
        valid = valid & (data <= high + slack)
    return data.where(valid)


def _unpacked(data: xr.DataArray, bound: object) -> float:
    """A bound of the valid range, which is one of the packed values where it has their type."""
    given = np.asarray(bound)
    if given.size != 1 or given.dtype.kind not in "fiu" or not np.isfinite(given).all():
        raise ObservationError(f"expected a number as bound of the valid range, found {bound!r}")
    packed, value = data.encoding.get("dtype"), float(given.item())
    if packed is None or np.dtype(packed).kind == "f" or given.dtype.kind == "f":
        return value
    if str(data.encoding.get("_Unsigned", "")).lower() == "true" and value < 0.0:
        value += 2.0 ** (8 * np.dtype(packed).itemsize)
    return value * float(data.encoding.get("scale_factor", 1.0)) + float(data.encoding.get("add_offset", 0.0))


def _minutes(data: xr.DataArray, dataset: xr.Dataset, times: xr.DataArray) -> float:
    """Minutes that an amount was gathered in: bounds of time, a start time, or the one time step.

    Raises:
        ObservationError: none of these, several periods, or a step that the data's own words contradict.
    """
    named = times.attrs.get("bounds", times.encoding.get("bounds"))
    if named is not None and named not in dataset.variables:
        raise ObservationError(f"expected the bounds of time, {named!r}, beside the amounts, found none")
    bounds = next((dataset[name] for name in (named, *_BOUNDS) if name in dataset.variables), None)
    if bounds is not None:
        others = [dim for dim in bounds.dims if dim not in times.dims]
        if len(others) != 1 or bounds.sizes[others[0]] != 2:
            raise ObservationError(f"expected two bounds of each time, found {dict(bounds.sizes)}")
        starts, ends = (utc_times(np.ravel(bounds.isel({others[0]: i}).values)) for i in (0, 1))
        return _one_period(ends - starts)
    if "start_time" in dataset.variables:
        starts = utc_times(dataset["start_time"].values)
        if starts.size not in {1, times.size}:
            raise ObservationError(
                f"expected a start_time for each of {times.size} times, found {starts.size}"
            )
        return _one_period(utc_times(times.to_index()) - starts)
    in_words = _periods_in_words(data)
    if times.size < 2:
        if len(in_words) != 1 or np.isnan(in_words).any():
            raise ObservationError(
                "expected one period for all amounts (bounds of time, start_time or an equal time step), "
                "found one frame"
            )
        return in_words[0]
    step = float(regular_step(np.sort(utc_times(times.to_index()))) / np.timedelta64(1, "m"))
    for minutes in in_words:
        if not abs(minutes / step - 1.0) <= _SAME_PERIOD:
            other = "midnight" if np.isnan(minutes) else f"{minutes:g} min"
            raise ObservationError(
                f"expected amounts of the time step, {step:g} min, or bounds of time, found {data.name!r}, "
                f"which speaks of {other}"
            )
    return step


def _one_period(periods: "np.ndarray[tuple[int, ...], np.dtype[np.timedelta64]]") -> float:
    mean = periods.mean()
    if (periods <= np.timedelta64(0)).any() or (np.abs(periods / mean - 1.0) > _SAME_PERIOD).any():
        found = ", ".join(dict.fromkeys(minutes_of(period) for period in np.unique(periods)))
        raise ObservationError(f"expected one period for all amounts, found {found} minutes")
    return float(nominal_step(mean) / np.timedelta64(1, "m"))


def _periods_in_words(data: xr.DataArray) -> list[float]:
    """Minutes that an amount's name and attributes speak of; NaN for a time of the day."""
    texts = (data.name, *(data.attrs.get(name, "") for name in ("long_name", "comment", "cell_methods")))
    words = " ".join(map(str, texts)).lower()
    found = []
    for name, minutes in _PERIOD_NAMES.items():
        if re.search(rf"(?<![\d-]){name}" if name == "hourly" else name, words) and not re.search(
            rf"\d[\s_-]*{name}", words
        ):
            found.append(minutes)
            words = words.replace(name, "")
    found += [int(number) * _MINUTES[unit[0]] for number, unit in _PERIOD.findall(words)]
    return list(dict.fromkeys(found))
