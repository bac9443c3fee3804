"""NOAA MRMS `PrecipRate`: rain rate over the United States, GRIB2."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations

NAME = "mrms"
PRODUCT = Product(
    "NOAA MRMS PrecipRate", "NOAA National Severe Storms Laboratory", "CC-PDDC", "US-NOAA-rainfall_rate"
)
_PRECIP_RATE = ("209", "6", "1")
# Of the World Meteorological Organization: number, kind, centre and time of what follows.
_LONGEST_BULLETIN = 72
_ONE_AT_A_TIME = Lock()


def recognise(path: Path, head: bytes) -> bool:
    """A GRIB message, second edition, perhaps behind the header of a bulletin."""
    if b"GRIB" not in head:
        with path.open("rb") as file:
            head = file.read(_LONGEST_BULLETIN)
    message = head[head.find(b"GRIB") :]
    return message.startswith(b"GRIB") and message[7:8] == b"\x02"


def read(path: Path, _: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame in mm/h at full resolution; what no radar covers (negative values) is unobserved.

    By GDAL, which survives damaged messages; ecCodes crashes on some, and its wheel breaks pyproj.
    """
    import rasterio

    with _quiet(), rasterio.open(path, driver="GRIB") as file:
        if file.count != 1:
            raise ObservationError(f"expected one message, found {file.count}")
        tags = file.tags(1)
        found = (tags.get("GRIB_DISCIPLINE"), *tags.get("GRIB_PDS_TEMPLATE_NUMBERS", "").split()[:2])
        if found != _PRECIP_RATE:
            raise ObservationError(f"expected MRMS PrecipRate {_PRECIP_RATE}, found parameter {found}")
        height, width = check_frame(file.shape)
        transform = file.transform
        seconds = int(tags["GRIB_VALID_TIME"])
        rate = file.read(1, out_dtype="float32")
        absent = file.nodata
    rate[rate < 0.0] = np.nan
    if absent is not None:  # what a bitmap in the message leaves out
        rate[rate == np.float32(absent)] = np.nan
    grid = Grid.from_latitude_longitude(
        transform.f + transform.e * (np.arange(height) + 0.5),
        transform.c + transform.a * (np.arange(width) + 0.5),
    )
    yield observations(rate[None], [np.datetime64(seconds, "s")], grid, PRODUCT.attributes())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the C library writes to standard error; its errors are raised as well."""
    with _ONE_AT_A_TIME, open(os.devnull, "wb") as nothing:  # noqa: PTH123
        saved = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
