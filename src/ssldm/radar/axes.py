"""Where the pixels of an xarray object are: its axes and projection, checked and brought to metres."""

import warnings
from ast import literal_eval
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import NotGeoreferenced, ObservationError
from ssldm.radar.grid import GRID_MAPPING, Grid, regular_axis

_METRES = {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1e3}
_METRES |= {f"kilo{name}": 1e3 for name in ("metre", "metres", "meter", "meters")}
_DEGREES = {"degree", "degrees", "deg"}
_DEGREES |= {f"degree{s}{mark}{side}" for s in ("", "s") for mark in ("_", "") for side in "NEWS"}
_DEGREES |= {f"degrees_{side}" for side in ("north", "east", "west", "south")}
_LATITUDE, _LONGITUDE = {"latitude", "lat"}, {"longitude", "lon"}
# No composite has smaller pixels: without units it is an index, or kilometres.
_LEAST_METRES = 20.0


@dataclass(frozen=True)
class Placement:
    """A grid, and how to index rows and columns so that the first is in the north and in the west."""

    grid: Grid
    rows: slice
    columns: slice


def is_eastward(dataset: xr.Dataset, dim: str) -> bool:
    """Whether a dimension runs along rows: by its standard name, else its axis, else its name."""
    attributes = dataset[dim].attrs if dim in dataset.variables else {}
    if "standard_name" in attributes:
        return attributes["standard_name"] in {"projection_x_coordinate", "longitude"}
    return bool(attributes["axis"] == "X" if "axis" in attributes else dim in {"x", "lon", "longitude"})


def placement(data: xr.DataArray, dataset: xr.Dataset, y: str, x: str) -> Placement:
    """The grid of some data.

    Args:
        data: the rain, whose grid mapping counts.
        dataset: where its coordinates are.
        y, x: its dimensions.

    Raises:
        ObservationError: no coordinates, none that are evenly spaced, units that are not known, or a
            projection that cannot be.
    """
    crs = _projection(data, dataset)
    geographic = [_is_geographic(dataset, dim, names) for dim, names in ((y, _LATITUDE), (x, _LONGITUDE))]
    if all(geographic):
        return _geographic(dataset[y].values, dataset[x].values)
    missing = any(dim not in dataset.variables for dim in (y, x))
    if missing or (
        any(_is_index(dataset, dim) for dim in (y, x)) and _positions(dataset, (y, x)) is not None
    ):
        return _from_positions(dataset, crs, (y, x))
    if _in_degrees(crs):
        if found := {str(dataset[dim].attrs.get("units", "degrees")) for dim in (y, x)} - _DEGREES:
            raise ObservationError(
                f"expected degrees of latitude and longitude, as in the projection, found {found}"
            )
        return _geographic(dataset[y].values, dataset[x].values)
    axes = {}
    for dim in (y, x):
        scale = _scale(dataset, dim, crs)
        axes[dim] = scale * regular_axis(repr(dim), dataset[dim].values)
    if crs is not None:
        crs = _in_metres(crs)
    return _placed(axes[y], axes[x], crs)


def _geographic(lat: NDArray[Any], lon: NDArray[Any]) -> Placement:
    lon = np.unwrap(np.asarray(lon, np.float64), period=360.0)
    rows, columns = _north_first(lat), _west_first(lon)
    return Placement(Grid.from_latitude_longitude(lat[rows], lon[columns]), rows, columns)


def _placed(y: NDArray[np.float64], x: NDArray[np.float64], crs: str | None) -> Placement:
    rows, columns = _north_first(y), _west_first(x)
    return Placement(Grid(x[columns], y[rows], crs), rows, columns)


def _north_first(y: NDArray[Any]) -> slice:
    return slice(None, None, -1 if y[0] < y[-1] else None)


def _west_first(x: NDArray[Any]) -> slice:
    return slice(None, None, -1 if x[0] > x[-1] else None)


def _is_geographic(dataset: xr.Dataset, dim: str, names: set[str]) -> bool:
    """Whether a dimension is one of latitudes or longitudes, by its name or standard name, and its units."""
    if dim not in dataset.variables:
        return False
    attributes = dataset[dim].attrs
    if attributes.get("units", "degrees") not in _DEGREES:
        return False
    return attributes.get("standard_name") in names or dim.lower() in names


def _is_index(dataset: xr.Dataset, dim: str) -> bool:
    """Whether a dimension has a coordinate that only counts pixels."""
    coordinate = dataset[dim]
    counts = np.arange(coordinate.size)
    return "units" not in coordinate.attrs and any(
        np.array_equal(coordinate.values, counts + first) for first in (0, 1)
    )


def _positions(
    dataset: xr.Dataset, dims: tuple[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Latitudes and longitudes ``(y, x)`` of all pixels; None where the dataset has none."""
    found = []
    for names in (_LATITUDE, _LONGITUDE):
        for name in dataset.variables:
            candidate = dataset[name]
            named = candidate.attrs.get("standard_name") in names or str(name).lower() in names
            if named and candidate.dims in {dims, dims[::-1]}:
                found.append(candidate.transpose(*dims).values.astype(np.float64))
                break
    return (found[0], found[1]) if len(found) == 2 else None


def _from_positions(dataset: xr.Dataset, crs: str | None, dims: tuple[str, str]) -> Placement:
    """The grid of data whose pixels have latitudes and longitudes of their own, ``(y, x)``.

    Raises:
        ObservationError: no such, or none of a regular grid.
    """
    if (positions := _positions(dataset, dims)) is None:
        raise ObservationError(
            f"expected coordinates for the dimensions {dims[0]!r} and {dims[1]!r} "
            f"(or latitudes and longitudes of all pixels), found none"
        )
    lat, lon = positions
    if not (np.isfinite(lat).all() and np.isfinite(lon).all()):
        raise ObservationError("expected a latitude and longitude for every pixel, found some missing")
    lon = np.unwrap(np.unwrap(lon, period=360.0), period=360.0, axis=0)
    if crs is None or _in_degrees(crs):
        y, x = lat[:, 0], lon[0]
        _check_same(lat, y[:, None], y, "rows have one latitude")
        _check_same(lon, x[None], x, "columns have one longitude")
        return _geographic(y, x)
    from pyproj import CRS, Transformer

    crs = _in_metres(crs)
    to_plane = Transformer.from_crs("EPSG:4326", CRS.from_user_input(crs), always_xy=True)
    east, north = to_plane.transform(lon, lat)
    y, x = regular_axis("rows", north.mean(axis=1)), regular_axis("columns", east.mean(axis=0))
    _check_same(north, y[:, None], y, "rows lie on the grid of the projection")
    _check_same(east, x[None], x, "columns lie on the grid of the projection")
    return _placed(y, x, crs)


def _check_same(found: NDArray[Any], wanted: NDArray[Any], axis: NDArray[Any], what: str) -> None:
    """Refuse positions farther than half a pixel from where a regular grid has them."""
    pixel = abs(axis[-1] - axis[0]) / max(len(axis) - 1, 1)
    departure = float(np.abs(found - wanted).max())
    if departure > 0.5 * pixel:
        raise ObservationError(
            f"expected latitudes and longitudes whose {what}, "
            f"found departures of {departure / pixel:.3g} pixels"
        )


def _scale(dataset: xr.Dataset, dim: str, crs: str | None) -> float:
    """Metres a unit of an axis.

    Raises:
        ObservationError: units that are not of length, or none in a projection and hardly metres.
    """
    units = dataset[dim].attrs.get("units")
    if units is not None:
        if str(units) not in _METRES:
            raise ObservationError(f"expected {dim!r} in metres, kilometres or degrees, found {units!r}")
        return _METRES[str(units)]
    if crs is None:
        return 1.0
    # Without units of its own an axis has those of the projection, if they make pixels of a likely size.
    metres = float(_crs(crs).axis_info[0].unit_conversion_factor) or 1.0
    values = dataset[dim].values
    step = abs(float(values[-1] - values[0])) / max(len(values) - 1, 1)
    if len(values) > 1 and step * metres < _LEAST_METRES:
        raise ObservationError(
            f"expected units of {dim!r} (m or km), found none and pixels of {step * metres:g} m"
        )
    return metres


def _projection(data: xr.DataArray, dataset: xr.Dataset) -> str | None:
    """WKT of the grid mapping that the data name, else of the only one that there is."""
    from pyproj.exceptions import CRSError

    named = data.attrs.get("grid_mapping", data.encoding.get("grid_mapping"))
    found = [str(name) for name in dataset.variables if _describes_projection(dataset[name])]
    if named is not None:
        name = str(named).split()[0].rstrip(":")
        if name not in dataset.variables:
            warnings.warn(
                f"the grid mapping {name!r} is not there: the data are not georeferenced",
                NotGeoreferenced,
                stacklevel=2,
            )
            return None
    elif not found:
        return None
    elif len(found) > 1 and GRID_MAPPING not in found:
        raise ObservationError(f"expected the data to name their grid mapping, found {', '.join(found)}")
    else:
        name = GRID_MAPPING if GRID_MAPPING in found else found[0]
    attributes = dataset[name].attrs
    wkt = attributes.get("crs_wkt") or attributes.get("spatial_ref")
    try:
        return str(wkt) if wkt else _wkt_of_cf(repr({k: _plain(v) for k, v in attributes.items()}))
    except (CRSError, KeyError) as error:
        raise ObservationError(f"the grid mapping {name!r} describes no projection ({error})") from error


def _describes_projection(variable: xr.DataArray) -> bool:
    return variable.ndim == 0 and bool({"crs_wkt", "spatial_ref", "grid_mapping_name"} & set(variable.attrs))


@lru_cache(maxsize=8)
def _wkt_of_cf(attributes: str) -> str:
    """WKT of the CF attributes of a projection, written as a literal; pyproj takes long over it."""
    from pyproj import CRS

    return str(CRS.from_cf(literal_eval(attributes)).to_wkt())


@lru_cache(maxsize=8)
def _crs(wkt: str) -> Any:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(wkt)
    except CRSError as error:
        raise ObservationError(f"expected a projection, found {wkt[:60]!r} ({error})") from error


def _in_degrees(crs: str | None) -> bool:
    """Whether the coordinates of a projection are latitudes and longitudes.

    Raises:
        ObservationError: those of another pole.
    """
    if crs is None or not _crs(crs).is_geographic:
        return False
    if _crs(crs).is_derived:
        raise ObservationError(f"expected a projection, found a rotated grid ({_crs(crs).name})")
    return True


@lru_cache(maxsize=8)
def _in_metres(wkt: str) -> str:
    """The same projection with axes in metres, as all coordinates here are."""
    from pyproj import CRS

    crs = _crs(wkt)
    if all(axis.unit_conversion_factor in {0.0, 1.0} for axis in crs.axis_info):
        return wkt
    if not crs.is_projected:
        raise ObservationError(f"expected a projection, found {crs.name}")
    description = crs.to_json_dict()
    for axis in description["coordinate_system"]["axis"]:
        axis["unit"] = "metre"
    description.pop("id", None)
    return str(CRS.from_json_dict(description).to_wkt())


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
