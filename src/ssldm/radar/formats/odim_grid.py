"""Where the pixels of an ODIM field are."""

import math
from typing import Any

import numpy as np

from ssldm.errors import ObservationError
from ssldm.radar.formats.hdf5_attributes import Attributes
from ssldm.radar.grid import Grid
from ssldm.radar.reference_system import LEAST_PIXEL_METRES, in_metres, is_geographic


def grid_of(shape: tuple[int, int], where: Attributes) -> Grid:
    """The pixel size is exact; the corner, stored as angles, is exact to a few millimetres only.

    Sizes are in the units of the projection. Where these are kilometres some services write metres all the
    same, which are told by their size.

    Raises:
        ObservationError: a projection that cannot be, no place on Earth, pixels of less than 20 m, or a size
            or an upper right corner that contradicts the rest.
    """
    from pyproj import Proj

    projection = where.text("projdef")
    geographic = is_geographic(projection)
    unit = 1.0
    if not geographic:
        projection, unit = in_metres(projection)
        if unit not in {1.0, 1000.0}:
            raise ObservationError(
                f"expected a projection in metres or kilometres, found {where.text('projdef')[:100]}"
            )
    dx, dy = (_pixel(where, name, unit, geographic) for name in ("xscale", "yscale"))
    height, width = shape
    for name, size in (("xsize", width), ("ysize", height)):
        if name in where and where.number(name) != size:
            raise ObservationError(
                f"expected the size that where/{name} gives, {where.number(name):g}, found {height}×{width}"
            )
    project = Proj(projection)
    corners = {
        name: _corner(where, name, project, geographic)
        for name in ("LL", "UR")
        if name == "LL" or ("UR_lon" in where and "UR_lat" in where)
    }
    west, south = corners["LL"]
    east, north = west + width * dx, south + height * dy
    if "UR" in corners and not _near(corners["UR"], (east, north), (dx, dy), geographic):
        raise ObservationError(
            f"expected the upper right corner at {east:g}, {north:g}, which follows from LL_lon, LL_lat, "
            f"xscale and yscale, found {corners['UR'][0]:g}, {corners['UR'][1]:g} (UR_lon, UR_lat)"
        )
    if geographic:
        return Grid.from_latitude_longitude(
            south + dy * (np.arange(height)[::-1] + 0.5), west + dx * (np.arange(width) + 0.5)
        )
    return Grid.from_edges(shape, west=west, east=east, south=south, north=north, crs=projection)


def _pixel(where: Attributes, name: str, unit: float, geographic: bool) -> float:
    """The size of a pixel in metres or degrees."""
    size = where.number(name)
    if not 0.0 < size < math.inf:
        raise ObservationError(f"expected a positive where/{name}, found {size:g}")
    if geographic:
        return size
    metres = size * unit if size < LEAST_PIXEL_METRES else size
    if metres < LEAST_PIXEL_METRES:
        raise ObservationError(
            f"expected pixels of at least {LEAST_PIXEL_METRES:g} m, found {metres:g} m as where/{name}"
        )
    return metres


def _corner(where: Attributes, name: str, project: Any, geographic: bool) -> tuple[float, float]:
    """A corner in metres or degrees."""
    lon, lat = where.number(f"{name}_lon"), where.number(f"{name}_lat")
    if not (abs(lat) <= 90.0 and abs(lon) <= 360.0):
        raise ObservationError(
            f"expected a latitude and longitude as where/{name}_lat and {name}_lon, found {lat:g} and {lon:g}"
        )
    if geographic:
        return lon, lat
    x, y = (round(metres, 2) for metres in project(lon, lat))
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ObservationError(
            f"expected where/{name}_lat and {name}_lon within reach of where/projdef, found {lat:g}, {lon:g}"
        )
    return x, y


def _near(
    corner: tuple[float, float], expected: tuple[float, float], pixel: tuple[float, float], geographic: bool
) -> bool:
    """Whether a corner is where it should be, to a pixel; the same longitude may be told in two ways."""
    across, up = corner[0] - expected[0], corner[1] - expected[1]
    if geographic:
        across = (across + 180.0) % 360.0 - 180.0
    return abs(across) <= pixel[0] and abs(up) <= pixel[1]
