"""How the variables of a nowcast lie in a file: their types, units, compression and place on the map."""

from collections.abc import Collection, Hashable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from ssldm.radar.grid import GRID_MAPPING, geotransform, latitude_longitude
from ssldm.radar.observations import NAME

LEAD_BOUNDS = "lead_time_bounds"
START = "forecast_reference_time"
"""Of a nowcast a scalar, of hindcasts a dimension."""
Encoding = dict[str, dict[str, Any]]

_SINCE = {"units": "seconds since 1970-01-01T00:00:00Z", "calendar": "standard", "dtype": "int64"}
_MINUTES = {"units": "minutes", "dtype": "float64", "_FillValue": None}
_POSITION = {"_FillValue": None}
_OF_NAME: Encoding = {
    NAME: {"_FillValue": np.float32(np.nan)},
    "lead_time": _MINUTES,
    "valid_time": _SINCE,
    START: _SINCE,
    **dict.fromkeys(("x", "y", "lat", "lon"), _POSITION),
}
_LARGE = (NAME, "lat", "lon")


def placed(dataset: xr.Dataset, names: Iterable[Hashable] = (NAME,)) -> xr.Dataset:
    """A copy with ``lat``, ``lon`` and what GDAL asks for, as far as x, y and their projection are known.

    Args:
        dataset: a nowcast, or what was made of one.
        names: of its variables that are maps.
    """
    copy = dataset.drop_encoding().assign_coords(latitude_longitude(dataset))
    if LEAD_BOUNDS in copy:
        if np.issubdtype(copy[LEAD_BOUNDS].dtype, np.timedelta64):
            # CF leaves the units to the coordinate, and xarray does so only beside dates.
            copy[LEAD_BOUNDS] = copy[LEAD_BOUNDS] / np.timedelta64(1, "m")
        copy[LEAD_BOUNDS].encoding = {"_FillValue": None, "coordinates": None}
    if GRID_MAPPING in copy.coords:
        for name in names:
            copy[name].attrs["grid_mapping"] = GRID_MAPPING
        copy[GRID_MAPPING].attrs.pop("GeoTransform", None)
        copy[GRID_MAPPING].attrs |= geotransform(copy)
    return copy


def with_lead_bounds(dataset: xr.Dataset) -> xr.Dataset:
    """What was read, with the bounds of the lead time as times."""
    if LEAD_BOUNDS not in dataset or not np.issubdtype(dataset[LEAD_BOUNDS].dtype, np.floating):
        return dataset
    bounds = (dataset[LEAD_BOUNDS] * 60e9).round().astype("timedelta64[ns]")
    return dataset.assign({LEAD_BOUNDS: bounds})


def netcdf_encoding(dataset: xr.Dataset) -> Encoding:
    """Encoding in NetCDF-4: what is large is compressed, as quickly as can be."""
    compression = {"zlib": True, "complevel": 1, "shuffle": True}
    return _with(dataset, {name: compression for name in _LARGE if name in dataset and dataset[name].ndim})


def zarr_encoding(dataset: xr.Dataset) -> Encoding:
    """Encoding in Zarr: one chunk a map."""
    apart = {"member", "lead_time"} if {"y", "x"} <= set(dataset[NAME].dims) else set()
    return _with(dataset, {NAME: {"chunks": _one_of(apart, dataset[NAME])}})


def hindcast_encoding(dataset: xr.Dataset) -> Encoding:
    """Encoding of hindcasts in Zarr: one chunk a map, one file a start; of all starts what is small."""
    rate = dataset[NAME]
    whole: Encoding = {
        str(name): {"chunks": variable.shape}
        for name, variable in dataset.coords.items()
        if START in variable.dims
    }
    maps = {
        "chunks": _one_of({START, "member", "lead_time"}, rate),
        "shards": _one_of({START}, rate),
    }
    return _with(dataset, {**whole, NAME: maps})


def _one_of(dims: Collection[Hashable], data: xr.DataArray) -> tuple[int, ...]:
    """The shape of a piece of an array that is of size one along some dimensions."""
    return tuple(1 if dim in dims else size for dim, size in data.sizes.items())


def _with(dataset: xr.Dataset, further: Encoding) -> Encoding:
    names = [name for name in {**_OF_NAME, **further} if name in dataset]
    return {name: _OF_NAME.get(name, {}) | further.get(name, {}) for name in names}
