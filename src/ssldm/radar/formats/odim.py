"""ODIM HDF5 composites: OPERA's (old and CIRRUS) and those of national services."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.hdf5_attributes import Attributes, attributes_of
from ssldm.radar.formats.odim_fields import Field, frames, odim_time, period_minutes
from ssldm.radar.formats.protocol import HDF5, Product, ReadOptions, check_frame, rate_of_decibel, text
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation, rate_of_accumulation

NAME = "odim"
_OPERA_SOURCE = "ORG:247"
_COMPOSITES = ("COMP", "IMAGE")
_ROWS_AT_ONCE = 256


def recognise(path: Path, head: bytes) -> bool:
    """HDF5 that declares itself ODIM."""
    if not head.startswith(HDF5):
        return False
    import h5py

    with h5py.File(path) as file:
        return "ODIM_H5" in text(file.attrs.get("Conventions", "")) and "dataset1" in file


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """Rain rate, accumulation or reflectivity, whichever comes first in this order: one frame, or several.

    A file of one frame has the time that it states for itself. Several frames of one product differ in their
    own end times, which they then have.

    pysteps' importer gives the same values, as a test holds it to, with four times the memory.
    """
    import h5py

    with h5py.File(path) as file:
        what = attributes_of(file, "what")
        if (kind := what.text("object")) not in _COMPOSITES:
            raise ObservationError(f"expected a composite (object COMP), found {kind}")
        for field, time in frames(file, odim_time(what, "date", "time")):
            yield _frame(field, time, text(what.values.get("source", "")), options)


def _frame(field: Field, time: datetime, source: str, options: ReadOptions) -> xr.DataArray:
    shape = check_frame(field.data.shape)
    grid = _grid(shape, field.where)
    quantity = field.quantity
    relation = (options.zr or ZRRelation()) if quantity == "DBZH" else None
    minutes = period_minutes(field.what) if quantity == "ACRR" else None
    kind = quantity if minutes is None else f"{quantity} of {minutes:g} min"
    codes = _Codes.of(field.what)
    rate = np.empty((1, *shape), np.float32)
    # By blocks of rows: the values may be stored as float64.
    for first in range(0, shape[0], _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        rate[0, rows] = codes.rates(field.data[rows], relation, minutes)
    extra = {} if minutes is None else {"accumulation_minutes": minutes}
    attributes = _product(source, kind).attributes(relation, **extra)
    return observations(rate, [np.datetime64(time, "ns")], grid, attributes)


@dataclass(frozen=True)
class _Codes:
    """What stored values mean."""

    gain: float
    offset: float
    nodata: float
    undetect: float

    @classmethod
    def of(cls, what: Attributes) -> "_Codes":
        return cls(*(what.number(name) for name in ("gain", "offset", "nodata", "undetect")))

    def rates(self, stored: NDArray[Any], relation: ZRRelation | None, minutes: float | None) -> NDArray[Any]:
        """Rain rate in mm/h; NaN where no radar sees, 0 where nothing came back.

        Raises:
            ObservationError: a pixel whose code is that of both.
        """
        missing, nothing = _is(stored, self.nodata), _is(stored, self.undetect)
        if (missing & nothing).any():
            raise ObservationError(
                f"expected codes of their own for nodata and undetect, found {self.nodata:g} for both: "
                "dry and unobserved pixels cannot be told apart"
            )
        values = stored * self.gain + self.offset
        values[missing] = np.nan
        if relation is not None:
            return rate_of_decibel(values, nothing, relation)
        return np.where(nothing, 0.0, rate_of_accumulation(values, 60.0 if minutes is None else minutes))


def _is(stored: NDArray[Any], code: float) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(stored) if np.isnan(code) else stored == code)


def _grid(shape: tuple[int, int], where: Attributes) -> Grid:
    """The pixel size is exact; the corner, stored as angles, is exact to a few millimetres only.

    Raises:
        ObservationError: a size or an upper right corner that contradicts the rest.
    """
    from pyproj import CRS, Proj

    projection = where.text("projdef").replace("+units=km", "+units=m")
    dx, dy = where.number("xscale"), where.number("yscale")
    if not (dx > 0.0 and dy > 0.0):
        raise ObservationError(f"expected positive where/xscale and where/yscale, found {dx:g} and {dy:g}")
    height, width = shape
    for name, size in (("xsize", width), ("ysize", height)):
        if name in where and where.number(name) != size:
            raise ObservationError(
                f"expected the size that where/{name} gives, {where.number(name):g}, found {height}×{width}"
            )
    geographic = CRS.from_user_input(projection).is_geographic
    project = Proj(projection)
    corners = {
        name: (where.number(f"{name}_lon"), where.number(f"{name}_lat"))
        for name in ("LL", "UR")
        if name == "LL" or ("UR_lon" in where and "UR_lat" in where)
    }
    placed = {
        name: corner if geographic else tuple(round(metres, 2) for metres in project(*corner))
        for name, corner in corners.items()
    }
    west, south = placed["LL"]
    east, north = west + width * dx, south + height * dy
    if "UR" in placed and not _near(placed["UR"], (east, north), (dx, dy), geographic):
        raise ObservationError(
            f"expected the upper right corner at {east:g}, {north:g}, which follows from LL_lon, LL_lat, "
            f"xscale and yscale, found {placed['UR'][0]:g}, {placed['UR'][1]:g} (UR_lon, UR_lat)"
        )
    if geographic:
        return Grid.from_latitude_longitude(
            south + dy * (np.arange(height)[::-1] + 0.5), west + dx * (np.arange(width) + 0.5)
        )
    return Grid.from_edges(shape, west=west, east=east, south=south, north=north, crs=projection)


def _near(
    corner: tuple[float, ...], expected: tuple[float, float], pixel: tuple[float, float], geographic: bool
) -> bool:
    """Whether a corner is where it should be, to a pixel; the same longitude may be told in two ways."""
    across, up = corner[0] - expected[0], corner[1] - expected[1]
    if geographic:
        across = (across + 180.0) % 360.0 - 180.0
    return abs(across) <= pixel[0] and abs(up) <= pixel[1]


def _product(source: str, kind: str) -> Product:
    """OPERA's own product, or a national one named by its source identifier."""
    if not source or _OPERA_SOURCE in source:
        return Product(f"OPERA {kind}", "EUMETNET OPERA", "CC-BY-4.0", "EU-OPERA-rainfall_rate")
    names = dict(part.split(":", maxsplit=1) for part in source.split(",") if ":" in part)
    entity = names.get("CMT") or names.get("PLC") or names.get("NOD") or names.get("ORG") or source
    return Product(f"ODIM {kind} {source}", entity, "unknown", "")
