"""The value that crosses every boundary: rain-rate observations as one labelled array."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.grid import GRID_MAPPING, Grid, regular_axis
from ssldm.radar.times import regular_step
from ssldm.radar.units import FloatArray

NAME = "precipitation_rate"
ATTRIBUTES = {
    "units": "mm h-1",
    "standard_name": "rainfall_rate",
    "long_name": "rain rate",
}


def observations(
    rate: FloatArray, times: Sequence[np.datetime64], grid: Grid, attributes: Mapping[str, Any]
) -> xr.DataArray:
    """Observations ``(time, y, x)`` in mm/h; NaN is not observed, 0 observed dry.

    Args:
        rate: ``(t, h, w)`` in mm/h.
        times: ``t`` times, UTC.
        grid: pixel centres and projection.
        attributes: where the data come from (product, institution, licence); ``accumulation_minutes`` of
            sums, ``zr_a`` of reflectivity.
    """
    extra = {"grid_mapping": GRID_MAPPING} if grid.crs is not None else {}
    if "accumulation_minutes" in attributes:
        extra["cell_methods"] = "time: mean"
    elif "zr_a" in attributes:  # a scan takes seconds at each place
        extra["cell_methods"] = "time: point"
    return xr.DataArray(
        np.asarray(rate, dtype=np.float32),
        dims=("time", "y", "x"),
        coords={
            "time": ("time", np.asarray(times, dtype="datetime64[ns]"), {"standard_name": "time"}),
            **grid.coordinates(),
        },
        name=NAME,
        attrs={**ATTRIBUTES, **attributes, **extra},
    )


def check_observations(data: xr.DataArray) -> xr.DataArray:
    """The same array, once it is known to be observations as `observations` makes them.

    Raises:
        ObservationError: wrong dimensions, units, values, type or order of time, or uneven pixels.
    """
    if not isinstance(data, xr.DataArray):
        raise ObservationError(
            f"expected observations as open_radar returns them, found {type(data).__name__}"
        )
    if data.dims != ("time", "y", "x"):
        raise ObservationError(f"expected dimensions (time, y, x), found {data.dims}")
    if data.attrs.get("units") != ATTRIBUTES["units"]:
        raise ObservationError(f"expected units {ATTRIBUTES['units']!r}, found {data.attrs.get('units')!r}")
    if data.dtype.kind not in "fiu":
        raise ObservationError(f"expected rain rates as numbers, found {data.dtype}")
    if missing := {"time", "y", "x"} - set(data.coords):
        raise ObservationError(
            f"expected coordinates of time, y and x, found none of {', '.join(sorted(missing))}"
        )
    if not np.issubdtype(data["time"].dtype, np.datetime64):
        raise ObservationError(f"expected times as datetime64, found {data['time'].dtype}")
    if np.isnat(data["time"].values).any():
        raise ObservationError("expected a time for every frame, found none (NaT) for some")
    for axis in ("y", "x"):
        regular_axis(repr(axis), data[axis].values)
    if (np.diff(data["time"].values) <= np.timedelta64(0)).any():
        raise ObservationError("expected times that increase, found repeated or reversed ones")
    return data


def time_step(data: xr.DataArray) -> np.timedelta64:
    """The one nominal step between all frames, see `ssldm.radar.times`.

    Raises:
        ObservationError: fewer than two frames, or steps that differ by more than jitter.
    """
    return regular_step(data["time"].values)


def pixel_size(data: xr.DataArray) -> float:
    """Distance between neighbouring pixel centres in metres (mean of both axes); 1 km of a single pixel."""
    distances = [
        abs(float(data[axis][-1] - data[axis][0])) / (data.sizes[axis] - 1)
        for axis in "yx"
        if data.sizes[axis] > 1
    ]
    return float(np.mean(distances)) if distances else 1000.0


def observations_like(
    y: Sequence[float], x: Sequence[float], crs: str | None, attributes: Mapping[str, Any]
) -> xr.DataArray:
    """Observations of a grid without a frame: what a series is, before or after its frames."""
    grid = Grid(np.asarray(x, np.float64), np.asarray(y, np.float64), crs)
    return observations(np.empty((0, *grid.shape), np.float32), [], grid, attributes)
