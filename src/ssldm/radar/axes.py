"""Where the pixels of an xarray object are: its axes and projection, checked and brought to metres."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.grid import Grid, regular_axis
from ssldm.radar.projection import projection_of
from ssldm.radar.reference_system import LEAST_PIXEL_METRES, in_metres, is_geographic

_METRES = {"m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "km": 1e3}
_METRES |= {f"kilo{name}": 1e3 for name in ("metre", "metres", "meter", "meters")}
_ANGLES = {"degree", "degrees", "deg"}
# In lower case; CF takes degree_north, degrees_N, degreeN and more for one, and none for south or west.
_DEGREES_OF_WAY = {
    way: {f"degree{s}{mark}{side}" for s in ("", "s") for mark in ("_", "") for side in sides}
    for way, sides in (("y", ("n", "north")), ("x", ("e", "east")))
}
_DEGREES = _ANGLES | _DEGREES_OF_WAY["y"] | _DEGREES_OF_WAY["x"]
_LATITUDE, _LONGITUDE = {"latitude", "lat"}, {"longitude", "lon"}
_NAMES_OF_WAY = {
    "y": _LATITUDE | {"y", "northing", "row", "rows", "south_north", "nlat", "ny", "yc"},
    "x": _LONGITUDE | {"x", "easting", "col", "cols", "column", "columns", "west_east", "nlon", "nx", "xc"},
}


@dataclass(frozen=True)
class Placement:
    """A grid, and how to index rows and columns so that the first is in the north and in the west."""

    grid: Grid
    rows: slice
    columns: slice


def in_order(dataset: xr.Dataset, first: str, second: str) -> tuple[str, str]:
    """Two dimensions as rows and columns: by what their coordinates say, their names, or as they come."""
    ways = [_way(dataset, dim) for dim in (first, second)]
    return (second, first) if ways[0] == "x" or ways[1] == "y" else (first, second)


def _way(dataset: xr.Dataset, dim: str) -> str | None:
    """Whether a dimension is "y" or "x": by standard name, axis, units or name; None where nothing tells."""
    attributes = dataset[dim].attrs if dim in dataset.variables else {}
    standard, units = str(attributes.get("standard_name", "")), _degrees_of(attributes)
    axis = str(attributes.get("axis", "")).lower()
    for way, angle in (("y", "latitude"), ("x", "longitude")):
        if standard in {f"projection_{way}_coordinate", angle, f"grid_{angle}"}:
            return way
    if not standard and axis in {"x", "y"}:
        return axis
    of_units = next((way for way, names in _DEGREES_OF_WAY.items() if units in names), None)
    return of_units or next((way for way, names in _NAMES_OF_WAY.items() if dim.lower() in names), None)


def _degrees_of(attributes: Mapping[str, Any]) -> str:
    """Units as they stand among `_DEGREES`; plain degrees where there are none."""
    return str(attributes.get("units", "degrees")).strip().lower().replace(" ", "_")


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
    crs = projection_of(data, dataset)
    degrees = crs is not None and is_geographic(crs)
    if all(_is_geographic(dataset, dim, way) for dim, way in ((y, "y"), (x, "x"))):
        return _geographic(_centres(dataset, y), _centres(dataset, x))
    missing = any(dim not in dataset.variables for dim in (y, x))
    index = missing or any(_is_index(dataset, dim) for dim in (y, x))
    if missing or (index and _positions(dataset, (y, x)) is not None):
        return _from_positions(dataset, crs, (y, x))
    if degrees:
        found = {_degrees_of(dataset[dim].attrs) for dim in (y, x)} - _DEGREES
        if found or index:
            what = ", ".join(found) or "numbers of pixels"
            raise ObservationError(
                f"expected degrees of latitude and longitude, as in the projection, found {what}"
            )
        return _geographic(_centres(dataset, y), _centres(dataset, x))
    axes = {}
    for dim in (y, x):
        scale = _scale(dataset, dim, crs)
        axes[dim] = scale * regular_axis(repr(dim), _centres(dataset, dim))
    if crs is not None:
        crs = in_metres(crs)[0]
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


def _centres(dataset: xr.Dataset, dim: str) -> NDArray[np.float64]:
    """Pixel centres of an axis: the middles of its bounds, where it has any.

    Raises:
        ObservationError: no numbers, or none at all.
    """
    coordinate = dataset[dim]
    bounds = coordinate.attrs.get("bounds")
    if bounds in dataset.variables and dataset[bounds].shape == (coordinate.size, 2):
        coordinate = dataset[bounds].mean(str(dataset[bounds].dims[1]))
    if coordinate.dtype.kind not in "fiu" or not coordinate.size:
        raise ObservationError(f"expected numbers as {dim!r}, found {coordinate.size} of {coordinate.dtype}")
    return np.asarray(coordinate.values, np.float64)


def _is_geographic(dataset: xr.Dataset, dim: str, way: str) -> bool:
    """Whether a dimension is one of latitudes or longitudes, by its name, standard name or units."""
    if dim not in dataset.variables:
        return False
    attributes, names = dataset[dim].attrs, _LATITUDE if way == "y" else _LONGITUDE
    units = _degrees_of(attributes)
    if units not in _DEGREES:
        return False
    told = units not in _ANGLES and "standard_name" not in attributes
    return told or attributes.get("standard_name") in names or dim.lower() in names


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
            if named and candidate.dims and set(candidate.dims) <= set(dims):
                found.append(_over(candidate, dataset, dims))
                break
    return (found[0], found[1]) if len(found) == 2 else None


def _over(positions: xr.DataArray, dataset: xr.Dataset, dims: tuple[str, str]) -> NDArray[np.float64]:
    """Positions ``(y, x)`` of what may be given along one of the dimensions alone."""
    sizes = {dim: dataset.sizes[dim] for dim in dims if dim not in positions.dims}
    return positions.reset_coords(drop=True).expand_dims(sizes).transpose(*dims).values.astype(np.float64)


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
    if crs is None or is_geographic(crs):
        y, x = lat[:, 0], lon[0]
        _check_same(lat, y[:, None], y, "rows have one latitude")
        _check_same(lon, x[None], x, "columns have one longitude")
        return _geographic(y, x)
    from pyproj import CRS, Transformer

    crs = in_metres(crs)[0]
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
    metres = in_metres(crs)[1]
    values = dataset[dim].values
    step = abs(float(values[-1] - values[0])) / max(len(values) - 1, 1)
    if len(values) > 1 and step * metres < LEAST_PIXEL_METRES:
        raise ObservationError(
            f"expected units of {dim!r} (m or km), found none and pixels of {step * metres:g} m"
        )
    return metres
