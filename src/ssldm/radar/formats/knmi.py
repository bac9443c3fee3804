"""KNMI composites (`RAD_NL25_RAP_5min` and its kin): accumulation, rate or reflectivity, HDF5."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.hdf5_attributes import Attributes, attributes_of
from ssldm.radar.formats.knmi_images import Image, rates_of_codes, the_image
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, is_hdf5
from ssldm.radar.grid import Grid
from ssldm.radar.grid import in_metres as kilometres_in_metres
from ssldm.radar.observations import observations
from ssldm.radar.reference_system import LEAST_PIXEL_METRES, in_metres, is_geographic
from ssldm.radar.units import ZRRelation

NAME = "knmi"
PRODUCT = Product(
    "KNMI RAD_NL25_RAP_5min",
    "KNMI - Royal Netherlands Meteorological Institute",
    "CC-BY-4.0",
    "NL-KNMI-rainfall_rate",
)
_TIME = re.compile(
    r"(?P<day>\d{1,2})-(?P<month>[A-Z]{3})-(?P<year>\d{4})[; T]+"
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(:(?P<second>\d{2})(\.\d*)?)?\s*(Z|UTC)?",
    re.IGNORECASE,
)
# Names of months are those of English, whatever the language of the computer.
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# Some files carry a projection that is wrong in kilometres, with a row offset in metres (pysteps).
_WRONG_PROJECTION = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378.14 +b=6356.75 +x_0=0 y_0=0"
_RIGHT_PROJECTION = "+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378137 +b=6356752 +x_0=0 +y_0=0"
# An ellipsoid smaller than this is given in kilometres.
_LEAST_AXIS_METRES = 100_000.0
_METRES = {"M": 1.0, "KM": 1000.0}


def recognise(path: Path, head: bytes) -> bool:
    """HDF5 with KNMI's `geographic` group."""
    if not is_hdf5(path, head):
        return False
    import h5py

    with h5py.File(path) as file:
        return "geographic" in file and any(name.startswith("image") for name in file)


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame, at the end of its accumulation period, by the calibration that the file states.

    pysteps' importer gives the same values and grid for the files that it knows, as a test holds it to; it
    takes three times as long.
    """
    import h5py

    with h5py.File(path) as file:
        overview = attributes_of(file, "overview")
        begin, end = (_time(overview, f"product_datetime_{name}") for name in ("start", "end"))
        image = the_image(file)
        if "image_datetime_valid" in image.attributes:
            _check_observed(image.attributes, end)
        shape = check_frame(image.stored.shape)
        grid = _grid(file, shape)
        codes = image.stored[...]
    relation = (options.zr or ZRRelation()) if image.kind == "reflectivity" else None
    minutes = _minutes(begin, end) if image.kind == "amount" else None
    rates = rates_of_codes(image, relation, minutes)
    extra = {} if minutes is None else {"accumulation_minutes": minutes}
    yield observations(
        rates[codes][None],
        [np.datetime64(end, "ns")],
        grid,
        _product(image, minutes).attributes(relation, **extra),
    )


def _product(image: Image, minutes: float | None) -> Product:
    if image.kind == "reflectivity":
        return replace(PRODUCT, name="KNMI reflectivity composite")
    if minutes is None:
        return replace(PRODUCT, name="KNMI rain rate")
    return PRODUCT if minutes == 5.0 else replace(PRODUCT, name=f"KNMI accumulation of {minutes:g} min")


def _minutes(begin: datetime, end: datetime) -> float:
    if end <= begin:
        raise ObservationError(f"expected an end after the start {begin}, found {end}")
    return (end - begin).total_seconds() / 60.0


def _check_observed(attributes: Attributes, end: datetime) -> None:
    valid = _time(attributes, "image_datetime_valid")
    if valid > end:
        raise ObservationError(f"expected observations until {end}, found a forecast for {valid}")


def _time(attributes: Attributes, name: str) -> datetime:
    stamp = attributes.text(name)
    if (found := _TIME.fullmatch(stamp)) and found["month"].upper() in _MONTHS:
        month = _MONTHS.index(found["month"].upper()) + 1
        year, day, hour, minute, second = (
            int(found[part] or 0) for part in ("year", "day", "hour", "minute", "second")
        )
        with suppress(ValueError):
            return datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    raise ObservationError(f"expected a time like 26-AUG-2010;03:00:00 as {name}, found {stamp!r}")


def _grid(file: Any, shape: tuple[int, int]) -> Grid:
    """The grid of KNMI's `geographic` group, whose lengths may be in kilometres.

    Raises:
        ObservationError: lengths that are none, a size of the image other than that stated, or a projection
            of other lengths.
    """
    geographic = attributes_of(file, "geographic")
    keys = ("geo_column_offset", "geo_row_offset", "geo_pixel_size_x", "geo_pixel_size_y")
    column, row, dx, dy = (geographic.finite(key) for key in keys)
    for key, size in (("geo_number_rows", shape[0]), ("geo_number_columns", shape[1])):
        if key in geographic and geographic.number(key) != size:
            raise ObservationError(
                f"expected the size that geographic/{key} gives, {geographic.number(key):g}, "
                f"found {shape[0]}×{shape[1]}"
            )
    projection = attributes_of(file, "geographic/map_projection").text("projection_proj4_params")
    if projection == _WRONG_PROJECTION:
        projection, scale = _RIGHT_PROJECTION, 1.0
        column, row, dx, dy = 0.0, 3650.0, 1000.0, -1000.0
    else:
        scale = _metres(geographic.text("geo_dim_pixel"))
        projection = _metric(projection)
    for key, length in zip(keys[2:], (dx, abs(dy)), strict=True):
        if length * scale < LEAST_PIXEL_METRES:
            raise ObservationError(
                f"expected pixels of at least {LEAST_PIXEL_METRES:g} m, "
                f"found {length * scale:g} m as geographic/{key}"
            )
    west, north = column * dx * scale, row * dy * scale
    return Grid.from_edges(
        shape,
        west=west,
        east=west + shape[1] * dx * scale,
        south=north - shape[0] * abs(dy) * scale,
        north=north,
        crs=projection,
    )


def _metres(units: str) -> float:
    """How many metres a unit of both axes is, of units like KM,KM."""
    names = {name.strip().upper() for name in units.split(",")}
    if len(names) != 1 or not names <= set(_METRES):
        raise ObservationError(f"expected KM,KM or M,M as geographic/geo_dim_pixel, found {units!r}")
    return _METRES[names.pop()]


def _metric(projection: str) -> str:
    """The projection in metres, whether the file gives its ellipsoid or its coordinates in kilometres."""
    axis = re.search(r"\+a=([\d.]+)", projection)
    if axis and float(axis[1]) < _LEAST_AXIS_METRES:
        projection = kilometres_in_metres(projection)
    if is_geographic(projection):
        raise ObservationError(f"expected a map projection, found degrees: {projection}")
    return in_metres(projection)[0]
