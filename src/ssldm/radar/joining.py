"""Observations of several files as one series: what must be alike for that."""

import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import InputRepaired, ObservationError
from ssldm.radar.grid import wkt_of
from ssldm.radar.observations import check_observations

# Of a pixel: grids that differ by less are one.
_ALIKE = 0.01
# Of the period of sums: those that follow each other by less overlap.
_OVERLAP = 0.9


def join(parts: Sequence[xr.DataArray]) -> xr.DataArray:
    """Observations of one product, grid and place as one series sorted by time.

    Raises:
        ObservationError: products, sizes, places or projections that differ, the same time twice, or sums
            over more than the time from frame to frame.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in ("product", "place"):
            if part.attrs.get(name) != first.attrs.get(name):
                raise ObservationError(
                    f"expected one {name}, found {first.attrs.get(name)!r} and {part.attrs.get(name)!r}"
                )
        _check_one_grid(first, part)
    if len(parts) == 1:
        return without_overlap(check_observations(first))
    joined = xr.concat(
        parts, dim="time", join="override", coords="minimal", compat="override", combine_attrs="override"
    ).sortby("time")
    times, counts = np.unique(joined["time"].values, return_counts=True)
    if (counts > 1).any():
        repeated = np.datetime_as_string(times[counts > 1][0], unit="m")
        raise ObservationError(f"expected each time once, found {repeated} more than once")
    return without_overlap(check_observations(joined))


def not_yet_in(parts: Sequence[xr.DataArray], part: xr.DataArray, name: str) -> xr.DataArray:
    """The frames of a part whose times none of the others has; a warning tells of the rest.

    Args:
        parts: what is there.
        part: what comes.
        name: of its file.
    """
    known = [each["time"].values for each in parts]
    twice = np.isin(part["time"].values, np.concatenate(known) if known else [])
    if twice.any():
        warnings.warn(f"skipped {name}: a frame of it came before", InputRepaired, stacklevel=2)
        return part.isel(time=~twice)
    return part


def _check_one_grid(first: xr.DataArray, part: xr.DataArray) -> None:
    if part.shape[1:] != first.shape[1:]:
        raise ObservationError(
            f"expected frames of one size, found {_size(first)} and {_size(part)} (at {_stamp(part)})"
        )
    for axis in ("y", "x"):
        apart = np.abs(part[axis].values - first[axis].values).max()
        if not apart <= _ALIKE * _pixel(first[axis].values):
            raise ObservationError(
                f"expected one grid, found another at {_stamp(part)}, {apart:g} m away in {axis}"
            )
    one, other = wkt_of(first), wkt_of(part)
    if one == other:
        return
    if one is None or other is None or not _place_alike(one, other, first):
        raise ObservationError(
            f"expected one projection, found {_projection_name(one)} and {_projection_name(other)} "
            f"(at {_stamp(part)})"
        )


def _place_alike(one: str, other: str, data: xr.DataArray) -> bool:
    """Whether two projections put a grid in the same place, however they are written."""
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    first, second = CRS.from_wkt(one), CRS.from_wkt(other)
    if first.equals(second, ignore_axis_order=True):
        return True
    y, x = (data[axis].values[[0, -1]] for axis in ("y", "x"))
    xs, ys = (corners.ravel() for corners in np.meshgrid(x, y))
    try:
        moved = np.array(Transformer.from_crs(first, second, always_xy=True).transform(xs, ys))
    except ProjError:
        return False
    apart = np.abs(moved - np.array([xs, ys])).max()
    return bool(apart <= _ALIKE * min(_pixel(data[axis].values) for axis in ("y", "x")))


def _projection_name(wkt: str | None) -> str:
    from pyproj import CRS

    if wkt is None:
        return "none"
    crs = CRS.from_wkt(wkt)
    return crs.to_proj4() if crs.name in {"unknown", "undefined"} else crs.name


def without_overlap(data: xr.DataArray) -> xr.DataArray:
    """The same series, once it is known that its frames are no sums that overlap.

    Raises:
        ObservationError: they are.
    """
    minutes = data.attrs.get("accumulation_minutes")
    if sums_overlap(data["time"].values, minutes):
        step = np.diff(data["time"].values).min() / np.timedelta64(1, "m")
        raise ObservationError(
            f"expected sums that follow each other, found sums over {minutes:g} minutes "
            f"every {step:g} minutes"
        )
    return data


def sums_overlap(times: NDArray[np.datetime64], minutes: float | None) -> bool:
    """Whether frames are sums over more than the time from one to the next, and so no rates of that time.

    Args:
        times: of the frames, in order.
        minutes: that each was gathered in; None for what is no sum.
    """
    if minutes is None or len(times) < 2:
        return False
    return bool(np.diff(times).min() / np.timedelta64(1, "m") < _OVERLAP * minutes)


def _pixel(centres: np.ndarray) -> float:
    """Distance of neighbouring pixel centres; of a single one, a metre."""
    return abs(float(centres[-1] - centres[0])) / (len(centres) - 1) if len(centres) > 1 else 1.0


def _size(data: xr.DataArray) -> str:
    return f"{data.sizes['y']}×{data.sizes['x']}"


def _stamp(data: xr.DataArray) -> str:
    return str(np.datetime_as_string(data["time"].values[0], unit="m"))
