"""The grid of a radar product: pixel centres in metres and, where known, the map projection."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.units import FloatArray

GRID_MAPPING = "crs"
_SPHERE_METRES = 6_371_229.0
_ROWS_AT_ONCE = 128
# Of a pixel: how far rounding in a file may move its centre, and change the step to the next.
_UNEVEN, _UNEVEN_STEP = 0.1, 0.02
_THREADS = 4


@dataclass(frozen=True)
class Grid:
    """Pixel centres ``x (w,)``, ``y (h,)`` in metres; ``crs`` is PROJ or WKT, None without georeference."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    crs: str | None

    @classmethod
    def from_edges(
        cls,
        shape: tuple[int, int],
        *,
        west: float,
        east: float,
        south: float,
        north: float,
        crs: str | None,
    ) -> "Grid":
        """The grid of ``shape`` (h, w) between outer edges in metres, first row in the north."""
        height, width = shape
        dx, dy = (east - west) / width, (north - south) / height
        x = west + dx * (np.arange(width) + 0.5)
        y = north - dy * (np.arange(height) + 0.5)
        return cls(np.asarray(x, np.float64), np.asarray(y, np.float64), crs)

    @classmethod
    def from_latitude_longitude(cls, lat: FloatArray, lon: FloatArray) -> "Grid":
        """The grid of regular latitudes ``(h,)`` and longitudes ``(w,)`` in degrees, in metres.

        The equidistant cylindrical projection maps it exactly: a degree is the same length everywhere, true
        to scale at the middle latitude. Longitudes may cross 0 or 180.

        Raises:
            ObservationError: latitudes or longitudes that are not evenly spaced, or no latitudes.
        """
        lat = regular_axis("latitudes", lat)
        if np.abs(lat).max() > 90.0:
            raise ObservationError(
                f"expected latitudes from -90 to 90 degrees, found {lat[0]:g} to {lat[-1]:g}"
            )
        lon = regular_axis("longitudes", np.unwrap(lon, period=360.0))
        true_scale = round(float(lat.mean()))
        centre = round(float(lon.mean()))
        centre_name = (centre + 180) % 360 - 180
        metres = np.radians(1.0) * _SPHERE_METRES
        return cls(
            (lon - centre) * metres * np.cos(np.radians(true_scale)),
            lat * metres,
            f"+proj=eqc +lat_ts={true_scale} +lon_0={centre_name} +R={_SPHERE_METRES} +units=m +no_defs",
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y), len(self.x)

    def coordinates(self) -> dict[str, Any]:
        """Coordinates ``y``, ``x`` and, where georeferenced, the grid mapping, with CF attributes."""
        standard = {"units": "m"}
        if self.crs is None:
            return {
                "y": ("y", self.y, standard | {"long_name": "distance from the southern edge"}),
                "x": ("x", self.x, standard | {"long_name": "distance from the western edge"}),
            }
        axes = {
            axis: (
                axis,
                values,
                standard | {"standard_name": f"projection_{axis}_coordinate", "axis": axis.upper()},
            )
            for axis, values in (("y", self.y), ("x", self.x))
        }
        return axes | {GRID_MAPPING: ((), np.int32(0), dict(_grid_mapping(self.crs)))}


def regular_axis(name: str, values: FloatArray) -> NDArray[np.float64]:
    """Pixel centres of an axis, evenly spaced: rounding in the file is taken out, anything else is refused.

    Args:
        name: of the axis, for the error.
        values: ``(n,)``, rising or falling.

    Raises:
        ObservationError: a value that is not known, the wrong order, gaps, or pixels that grow.
    """
    centres = np.asarray(values, np.float64)
    if centres.ndim != 1 or not np.isfinite(centres).all():
        raise ObservationError(f"expected a position for every pixel among {name}, found some missing")
    if len(centres) < 2:
        return centres
    regular = np.linspace(centres[0], centres[-1], len(centres))
    pixel = abs(regular[1] - regular[0])
    steps = np.diff(centres)
    uneven = np.abs(centres - regular).max() > _UNEVEN * pixel or not np.allclose(
        steps, steps.mean(), rtol=_UNEVEN_STEP, atol=0.0
    )
    if pixel == 0.0 or uneven:
        found = ", ".join(f"{step:g}" for step in np.unique(np.float32(steps))[:3])
        raise ObservationError(f"expected evenly spaced {name}, found steps of {found}")
    return regular


@lru_cache(maxsize=8)
def _grid_mapping(projection: str) -> dict[str, Any]:
    """CF attributes of a map projection; ``crs_wkt`` holds what the others cannot say.

    CF has no name for some projections (equidistant cylindrical, Web Mercator, Krovak, gnomonic): there the
    grid mapping is that of the latitudes and longitudes, and ``crs_wkt`` alone that of x and y. GDAL takes x
    and y for degrees then, unless their standard names say otherwise.
    """
    from pyproj import CRS

    crs = CRS.from_user_input(projection)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        attributes: dict[str, Any] = crs.to_cf()
        if "grid_mapping_name" not in attributes:
            datum = crs.geodetic_crs
            attributes = (datum.to_cf() if datum else {}) | {"crs_wkt": attributes["crs_wkt"]}
    if attributes.get("grid_mapping_name") == "polar_stereographic":
        # Required by CF, left out by pyproj where the standard parallel is given.
        pole = math.copysign(90.0, attributes.get("standard_parallel", 90.0))
        attributes.setdefault("latitude_of_projection_origin", pole)
    # GDAL and MLCast look for the projection under this name.
    return attributes | {"long_name": "map projection", "spatial_ref": attributes["crs_wkt"]}


def in_metres(projection: str) -> str:
    """A PROJ string whose ellipsoid is given in kilometres, with the ellipsoid in metres."""

    def convert(term: str) -> str:
        for axis in ("+a=", "+b="):
            if term.startswith(axis):
                return f"{axis}{float(term.removeprefix(axis)) * 1000.0:.10g}"
        return term

    return " ".join(convert(term) for term in projection.split())


def wkt_of(data: xr.DataArray | xr.Dataset) -> str | None:
    """The map projection of georeferenced data, None for data without one."""
    return str(data[GRID_MAPPING].attrs["crs_wkt"]) if GRID_MAPPING in data.coords else None


def geotransform(data: xr.DataArray | xr.Dataset) -> dict[str, str]:
    """The attribute of the grid mapping by which GDAL places pixels where x, y are not even to its liking.

    It holds for these x and y alone: made when a file is written, never kept in memory.
    """
    if not all(axis in data.dims and axis in data.coords and data.sizes[axis] > 1 for axis in "xy"):
        return {}
    edges = []
    for axis in ("x", "y"):
        first, last = (float(data[axis].values[i]) for i in (0, -1))
        size = (last - first) / (data.sizes[axis] - 1)
        edges.append((first - size / 2, size))
    (west, dx), (north, dy) = edges
    return {"GeoTransform": f"{west!r} {dx!r} 0 {north!r} 0 {dy!r}"}


def latitude_longitude(data: xr.DataArray | xr.Dataset) -> dict[str, xr.Variable]:
    """``lat`` and ``lon`` of georeferenced data, nothing for data without a projection or a place.

    They are ``(y, x)`` of a grid, scalar at one point of it, and along whatever x and y share elsewhere.
    """
    if not {GRID_MAPPING, "x", "y"} <= set(data.coords):
        return {}
    from pyproj import CRS, Transformer

    transformer = Transformer.from_crs(
        CRS.from_wkt(data[GRID_MAPPING].attrs["crs_wkt"]), "EPSG:4326", always_xy=True
    )
    y, x = xr.broadcast(*(data[axis].reset_coords(drop=True) for axis in ("y", "x")))
    rows_of_y, rows_of_x = np.atleast_1d(y.values), np.atleast_1d(x.values)
    lon, lat = (np.empty(rows_of_y.shape, np.float32) for _ in range(2))

    def fill(first: int) -> None:
        rows = slice(first, first + _ROWS_AT_ONCE)
        lon[rows], lat[rows] = transformer.transform(rows_of_x[rows], rows_of_y[rows])

    # Large domains by blocks of rows, or the arrays in between would be the largest of all.
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(fill, range(0, len(lat), _ROWS_AT_ONCE)))
    north, east = (
        {"standard_name": name, "units": units}
        for name, units in (("latitude", "degrees_north"), ("longitude", "degrees_east"))
    )
    return {
        "lat": xr.Variable(y.dims, lat.reshape(y.shape), north),
        "lon": xr.Variable(y.dims, lon.reshape(y.shape), east),
    }
