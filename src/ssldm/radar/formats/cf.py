"""CF NetCDF, CF Zarr and MLCast archives; also what is in an xarray object already."""

import re
import warnings
from ast import literal_eval
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import HDF5, ReadOptions, check_frame, limited
from ssldm.radar.grid import GRID_MAPPING, Grid
from ssldm.radar.observations import ATTRIBUTES, check_observations
from ssldm.radar.observations import NAME as OBSERVATIONS
from ssldm.radar.units import ZRRelation

NAME = "cf"
_RATE = {
    "rainfall_rate",
    "rainfall_flux",
    "precipitation_flux",
    "lwe_precipitation_rate",
    "precipitation_rate",
}
_AMOUNT = {
    "precipitation_amount",
    "rainfall_amount",
    "lwe_thickness_of_precipitation_amount",
    "thickness_of_rainfall_amount",
}
_REFLECTIVITY = {"equivalent_reflectivity_factor"}
_NAMES = {"rr", "mmh", "rain_rate", "tprate", "prate", "precipitation", "tp", "dbz", "rare", "reflectivity"}
_PER_HOUR = {"mmh-1": 1.0, "kgm-2h-1": 1.0, "kgm-2s-1": 3600.0, "mms-1": 3600.0, "ms-1": 3.6e6}
_MILLIMETRES = {"mm": 1.0, "kgm-2": 1.0, "m": 1000.0}
_METRES = {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1e3, "kilometre": 1e3}
_STRUCTURE = {
    "units",
    "standard_name",
    "long_name",
    "grid_mapping",
    "coordinates",
    "cell_methods",
    "comment",
    "_FillValue",
}


def recognise(path: Path, head: bytes) -> bool:
    """NetCDF, classic or on HDF5, or a Zarr store."""
    return path.is_dir() or head.startswith((b"CDF", HDF5))


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """The series, lazily: frames are read, decoded and converted when they are used."""
    if path.is_dir():
        for group in groups_of(str(path)):
            yield open_store(str(path), group, options)
    else:
        with path.open("rb") as file:
            classic = file.read(3) == b"CDF"
        # Dimensions without a scale in HDF5 get a name; they are refused later for want of coordinates.
        engine: dict[str, Any] = (
            {"engine": "scipy"} if classic else {"engine": "h5netcdf", "phony_dims": "access"}
        )
        yield _lazily(lambda chunks: xr.open_dataset(path, chunks=chunks, **engine), options)


def groups_of(url: str) -> list[str | None]:
    """The groups of a Zarr store that hold a series: None is the root.

    Raises:
        ObservationError: no store, or nothing in it.
    """
    import zarr

    try:
        root = zarr.open_group(url, mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise ObservationError(f"expected an archive, found none at {url}") from error
    groups = [None] if any(True for _ in root.arrays()) else sorted(name for name, _ in root.groups())
    if not groups:
        raise ObservationError(f"expected observations in the archive {url}, found nothing")
    return groups


def open_store(url: str, group: str | None, options: ReadOptions | None = None) -> xr.DataArray:
    """The series in a Zarr store or in a group of it, lazily; its own limit of rates by default."""

    def open_dataset(chunks: dict[str, int] | None) -> xr.Dataset:
        with warnings.catch_warnings():
            # Stores without consolidated metadata are well-formed; the third format has none.
            warnings.simplefilter("ignore", RuntimeWarning)
            dataset: xr.Dataset = xr.open_zarr(url, group=group, chunks=chunks)
            return dataset

    return _lazily(open_dataset, options)


def _lazily(open_dataset: Any, options: ReadOptions | None) -> xr.DataArray:
    """Without dask where a frame is used as it is stored, which is quicker, else by frames."""
    dataset = open_dataset(None)
    variable = find_variable(dataset)
    check_frame(variable.shape[-2:])
    options = options or ReadOptions(max_rate=variable.attrs.get("max_rate", ReadOptions().max_rate))
    if _as_stored(variable, options):
        return observations_of(dataset, options)
    dataset.close()
    by_frame = {} if variable.encoding.get("preferred_chunks") else dict.fromkeys(variable.dims[:-2], 1)
    return limited(observations_of(open_dataset(by_frame), options), options)


def _as_stored(variable: xr.DataArray, options: ReadOptions) -> bool:
    factor = _PER_HOUR.get(_unit(variable))
    return (
        factor == 1.0
        and variable.dtype == np.float32
        and variable.ndim == 3
        and variable.attrs.get("max_rate") == options.max_rate
    )


def find_variable(dataset: xr.Dataset) -> xr.DataArray:
    """The rain in a dataset: a rate rather than an amount, an amount rather than a reflectivity.

    Raises:
        ObservationError: none of them is there.
    """
    grids = {name: data for name, data in dataset.data_vars.items() if data.ndim >= 2}
    for names in (_RATE, _AMOUNT, _REFLECTIVITY):
        for data in grids.values():
            if data.attrs.get("standard_name") in names:
                return data
    for name, data in grids.items():
        if str(name).lower() in _NAMES | _RATE | _AMOUNT | _REFLECTIVITY:
            return data
    raise ObservationError(
        "expected a rain rate, an amount of precipitation or a reflectivity by its CF standard name, "
        f"found {', '.join(map(str, dataset.variables)) or 'no variables'}"
    )


def observations_of(source: xr.DataArray | xr.Dataset, options: ReadOptions) -> xr.DataArray:
    """An xarray object as observations.

    Raises:
        ObservationError: no rain in it, unknown units, or no time, grid or accumulation period.
    """
    dataset = (
        source.to_dataset(name=source.name or OBSERVATIONS) if isinstance(source, xr.DataArray) else source
    )
    data = find_variable(dataset)
    data, times = _with_time(data, dataset)
    data = data.transpose(times.dims[0], ...)
    if data.ndim != 3:
        raise ObservationError(f"expected dimensions of time, y and x, found {data.dims}")
    y, x = data.dims[1:]
    if _is_eastward(dataset, str(y)):
        data, y, x = data.transpose(times.dims[0], x, y), x, y
    attributes = _attributes(data, dataset)
    grid, rows, columns = _grid(data, dataset, str(y), str(x))
    data = data.isel({y: rows, x: columns})
    rate, relation = _rate(data, dataset, times, options)
    if relation is not None:
        attributes |= {"zr_a": relation.a, "zr_b": relation.b}
    extra = {"grid_mapping": GRID_MAPPING} if grid.crs is not None else {}
    return check_observations(
        xr.DataArray(
            rate.variable.data if rate.chunks else rate.variable,
            dims=("time", "y", "x"),
            coords={"time": ("time", times.values, {"standard_name": "time"}), **grid.coordinates()},
            name=OBSERVATIONS,
            attrs={**ATTRIBUTES, **attributes, **extra},
        )
    )


def _is_eastward(dataset: xr.Dataset, dim: str) -> bool:
    """Whether a dimension runs along rows: by its standard name, else its axis, else its name."""
    attributes = dataset[dim].attrs if dim in dataset.variables else {}
    if "standard_name" in attributes:
        return attributes["standard_name"] in {"projection_x_coordinate", "longitude"}
    return bool(attributes["axis"] == "X" if "axis" in attributes else dim in {"x", "lon", "longitude"})


def _attributes(data: xr.DataArray, dataset: xr.Dataset) -> dict[str, Any]:
    kept = ("institution", "license", "mlcast_dataset_identifier")
    known = {name: dataset.attrs[name] for name in kept if name in dataset.attrs}
    known["product"] = dataset.attrs.get("title") or dataset.attrs.get("source") or str(data.name)
    return known | {name: value for name, value in data.attrs.items() if name not in _STRUCTURE}


def _unit(data: xr.DataArray) -> str:
    """Units without what authors write differently: mm/h, mm hr^-1 and mm h-1 are one."""
    units = str(data.attrs.get("units", "")).strip()
    units = re.sub(r"/\s*(\w+)", r" \1-1", units).replace("hr", "h").replace("hour", "h").replace("^", "")
    return re.sub(r"[\s.*]+", "", units)


def _rate(
    data: xr.DataArray, dataset: xr.Dataset, times: xr.DataArray, options: ReadOptions
) -> tuple[xr.DataArray, ZRRelation | None]:
    """Rain rate in mm/h and the relation that it needed."""
    unit = _unit(data)
    if unit in _PER_HOUR:
        rate, relation = data if _PER_HOUR[unit] == 1.0 else data * _PER_HOUR[unit], None
    elif unit in _MILLIMETRES:
        rate, relation = data * (_MILLIMETRES[unit] * 60.0 / _minutes(dataset, times)), None
    elif unit.lower() == "dbz":
        relation = options.zr or ZRRelation()
        rate = xr.apply_ufunc(relation.rain_rate, data, dask="parallelized", output_dtypes=[data.dtype])
    else:
        raise ObservationError(
            f"expected units of a rate (mm h-1), an amount (mm) or reflectivity (dBZ), "
            f"found {data.attrs.get('units')!r}"
        )
    return rate if rate.dtype == np.float32 else rate.astype(np.float32), relation


def _minutes(dataset: xr.Dataset, times: xr.DataArray) -> float:
    """Minutes that an amount was gathered in: from the bounds of time, a start time, or the one time step."""
    bounds = dataset.get(str(times.attrs.get("bounds", "")))
    if bounds is not None:
        periods = np.unique(np.diff(bounds.values.reshape(-1, 2).astype("datetime64[ns]"), axis=-1))
    elif "start_time" in dataset:
        periods = np.unique(times.values - dataset["start_time"].values)
    else:
        periods = np.unique(np.diff(times.values))
    if len(periods) != 1 or periods[0] <= np.timedelta64(0):
        raise ObservationError(
            "expected one period for all amounts (bounds of time, start_time or an equal time step), "
            f"found {[str(p) for p in periods]}"
        )
    return float(periods[0] / np.timedelta64(1, "m"))


def _with_time(data: xr.DataArray, dataset: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """The data with a dimension of time, and its times."""
    for name in (*data.coords, *dataset.variables):
        candidate = dataset[name]
        if candidate.attrs.get("standard_name") != "time" and name != "time":
            continue
        if not np.issubdtype(candidate.dtype, np.datetime64):
            raise ObservationError(
                f"expected times with units like 'seconds since …', found {candidate.dtype}"
            )
        if candidate.ndim == 0:
            return data.expand_dims("time"), candidate.expand_dims("time")
        if candidate.ndim == 1 and candidate.dims[0] in data.dims:
            return data, candidate
    raise ObservationError("expected a coordinate of time, found none")


def _grid(data: xr.DataArray, dataset: xr.Dataset, y: str, x: str) -> tuple[Grid, slice, slice]:
    """The grid, and how to index rows and columns so that the first is in the north and in the west."""
    kinds = {"y": ("latitude", "lat"), "x": ("longitude", "lon")}
    values, scales = {}, {}
    for axis, dim in (("y", y), ("x", x)):
        if dim not in dataset.coords and dim not in dataset:
            raise ObservationError(f"expected a coordinate for the dimension {dim!r}, found none")
        coordinate = dataset[dim]
        geographic = coordinate.attrs.get("standard_name") == kinds[axis][0] or dim in kinds[axis]
        unit = str(coordinate.attrs.get("units", "m"))
        if not geographic and unit not in _METRES:
            raise ObservationError(f"expected {dim!r} in metres, kilometres or degrees, found {unit!r}")
        values[axis] = coordinate.values.astype(np.float64)
        scales[axis] = None if geographic else _METRES[unit]
    rows = slice(None, None, -1 if values["y"][0] < values["y"][-1] else None)
    columns = slice(None, None, -1 if values["x"][0] > values["x"][-1] else None)
    north_first, west_first = values["y"][rows], values["x"][columns]
    if scales["y"] is None or scales["x"] is None:
        return Grid.from_latitude_longitude(north_first, west_first), rows, columns
    grid = Grid(west_first * scales["x"], north_first * scales["y"], _projection(data, dataset))
    return grid, rows, columns


def _projection(data: xr.DataArray, dataset: xr.Dataset) -> str | None:
    from pyproj.exceptions import CRSError

    name = data.attrs.get("grid_mapping", data.encoding.get("grid_mapping", GRID_MAPPING))
    if name not in dataset.variables:
        return None
    attributes = dataset[name].attrs
    wkt = attributes.get("crs_wkt") or attributes.get("spatial_ref")
    try:
        return str(wkt) if wkt else _wkt_of_cf(repr({k: _plain(v) for k, v in attributes.items()}))
    except (CRSError, KeyError) as error:
        raise ObservationError(f"the grid mapping {name!r} describes no projection ({error})") from error


@lru_cache(maxsize=8)
def _wkt_of_cf(attributes: str) -> str:
    """WKT of the CF attributes of a projection, written as a literal; pyproj takes long over it."""
    from pyproj import CRS

    return str(CRS.from_cf(literal_eval(attributes)).to_wkt())


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
