"""Forecasts and observations as they lie on a map: north above, west to the left."""

from typing import TypeVar

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.forecast.writable import check_not_empty
from ssldm.products.nowcast import members_of
from ssldm.radar.grid import regular_axis
from ssldm.radar.observations import NAME

# Pixels around what is forecast.
_AROUND = 4
_DIMS = ("member", "lead_time", "y", "x")

Data = TypeVar("Data", xr.DataArray, xr.Dataset)


def drawable(forecast: xr.Dataset) -> xr.Dataset:
    """A forecast over a map with its axes as pictures have them: lead times rise, y falls, x rises.

    Raises:
        ObservationError: other dimensions, nothing in them, times that are not known, or uneven pixels.
    """
    rate = members_of(forecast)
    if set(rate.dims) != set(_DIMS):
        raise ObservationError(f"expected a forecast over {', '.join(_DIMS)} to draw, found {rate.dims}")
    check_not_empty(rate)
    if rate.dtype.kind not in "fiu":
        raise ObservationError(f"expected rain rates as numbers, found {rate.dtype}")
    for name, dims, kind in (
        ("lead_time", ("lead_time",), "m"),
        ("valid_time", ("lead_time",), "M"),
        ("forecast_reference_time", (), "M"),
    ):
        found = forecast.variables.get(name)
        if found is None or found.dims != dims or found.dtype.kind != kind:
            raise ObservationError(
                f"expected {name!r} {'by lead time' if dims else 'as one time'} in a forecast to draw, found "
                + ("none" if found is None else f"{found.dtype} with dimensions {found.dims}")
            )
        if np.isnat(found.values).any():
            raise ObservationError(f"expected {name!r} as known times, found some that are not (NaT)")
    return north_up(forecast.sortby("lead_time").assign({NAME: rate.transpose(*_DIMS).sortby("lead_time")}))


def start_of(forecast: xr.Dataset) -> np.datetime64:
    """The time of the last observation."""
    return np.datetime64(forecast["forecast_reference_time"].values.item(), "ns")


def north_up(data: Data) -> Data:
    """The same data with its first row in the north and its first column in the west.

    Without coordinates of y and x it is taken to be so already.

    Raises:
        ObservationError: pixels that are not evenly spaced.
    """
    for axis, rises in (("y", False), ("x", True)):
        if axis in data.coords:
            regular_axis(repr(axis), data[axis].values)
            if data.sizes[axis] > 1 and (data[axis].values[-1] > data[axis].values[0]) != rises:
                data = data.isel({axis: slice(None, None, -1)})
    return data


def covered(forecast: xr.Dataset) -> dict[str, slice]:
    """Rows and columns that anything is forecast in, and a few around them; all if nothing is."""
    # What is forecast is so in every member, and no more of it later than at first.
    known = forecast[NAME].isel(member=0, lead_time=0, drop=True).notnull()
    parts = {"y": slice(None), "x": slice(None)}
    for axis, other in (("y", "x"), ("x", "y")):
        places = np.flatnonzero(known.any(other).values)
        if len(places):
            parts[axis] = slice(max(int(places[0]) - _AROUND, 0), int(places[-1]) + 1 + _AROUND)
    return parts
