"""The grid of a radar product: pixel centres in metres and, where known, the map projection."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

GRID_MAPPING = "crs"


@dataclass(frozen=True)
class Grid:
    """Pixel centres ``x (w,)``, ``y (h,)`` in metres; ``crs`` is a PROJ string, None without georeference."""

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
    def from_pysteps(cls, shape: tuple[int, int], metadata: dict[str, Any]) -> "Grid":
        """The grid that the metadata of a pysteps importer describe, kilometres turned into metres."""
        scale, crs = 1.0, metadata["projection"]
        if metadata["cartesian_unit"] == "km":
            scale, crs = 1000.0, _in_metres(crs)
        return cls.from_edges(
            shape,
            west=metadata["x1"] * scale,
            east=metadata["x2"] * scale,
            south=metadata["y1"] * scale,
            north=metadata["y2"] * scale,
            crs=crs,
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
        names = {"y": "projection_y_coordinate", "x": "projection_x_coordinate"}
        axes = {
            axis: (axis, values, standard | {"standard_name": names[axis], "axis": axis.upper()})
            for axis, values in (("y", self.y), ("x", self.x))
        }
        return axes | {GRID_MAPPING: ((), np.int32(0), _grid_mapping(self.crs))}


def _grid_mapping(projection: str) -> dict[str, Any]:
    """CF attributes of a map projection; ``crs_wkt`` holds what the others cannot say."""
    from pyproj import CRS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        attributes: dict[str, Any] = CRS.from_user_input(projection).to_cf()
    if attributes.get("grid_mapping_name") == "polar_stereographic":
        # Required by CF, left out by pyproj where the standard parallel is given.
        pole = math.copysign(90.0, attributes.get("standard_parallel", 90.0))
        attributes.setdefault("latitude_of_projection_origin", pole)
    return attributes | {"long_name": "map projection"}


def _in_metres(projection: str) -> str:
    """A PROJ string whose ellipsoid is given in kilometres, with the ellipsoid in metres."""

    def convert(term: str) -> str:
        for axis in ("+a=", "+b="):
            if term.startswith(axis):
                return f"{axis}{float(term.removeprefix(axis)) * 1000.0:.10g}"
        return term

    return " ".join(convert(term) for term in projection.split())


def latitude_longitude(data: xr.DataArray | xr.Dataset) -> dict[str, xr.Variable]:
    """``lat`` and ``lon`` ``(y, x)`` of georeferenced data, nothing for data without a projection."""
    if GRID_MAPPING not in data.coords:
        return {}
    from pyproj import CRS, Transformer

    transformer = Transformer.from_crs(
        CRS.from_wkt(data[GRID_MAPPING].attrs["crs_wkt"]), "EPSG:4326", always_xy=True
    )
    x, y = np.meshgrid(data["x"].values, data["y"].values)
    lon, lat = transformer.transform(x, y)
    return {
        "lat": xr.Variable(
            ("y", "x"), lat.astype(np.float32), {"standard_name": "latitude", "units": "degrees_north"}
        ),
        "lon": xr.Variable(
            ("y", "x"), lon.astype(np.float32), {"standard_name": "longitude", "units": "degrees_east"}
        ),
    }
