"""NOAA MRMS `PrecipRate`: rain rate over the United States, GRIB2."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
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
_PRECIP_RATE = (209, 6, 1)
_ONE_AT_A_TIME = Lock()


def recognise(_: Path, head: bytes) -> bool:
    """A GRIB message, second edition."""
    return head.startswith(b"GRIB") and head[7:8] == b"\x02"


def read(path: Path, _: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame in mm/h at full resolution; what no radar covers (negative values) is unobserved.

    pygrib rather than eccodes, whose wheel brings a PROJ of its own that breaks pyproj's.
    """
    import pygrib

    with _quiet():
        file = pygrib.open(str(path))
        try:
            message = file.readline()
            if message is None:
                raise ObservationError("expected a GRIB message, found none")
            parameter = tuple(message[key] for key in ("discipline", "parameterCategory", "parameterNumber"))
            if parameter != _PRECIP_RATE:
                raise ObservationError(
                    f"expected MRMS PrecipRate {_PRECIP_RATE}, found parameter {parameter}"
                )
            height, width = check_frame((message["Nj"], message["Ni"]))
            first, last = (
                [message[f"{axis}Of{end}GridPointInDegrees"] for axis in ("latitude", "longitude")]
                for end in ("First", "Last")
            )
            stamp = f"{message['dataDate']:08}{message['dataTime']:04}{message['second']:02}"
            rate = message.values.astype(np.float32)
        finally:
            file.close()
    if rate.shape != (height, width):
        raise ObservationError(f"expected {height}×{width} values, found {rate.shape}")
    rate[rate < 0.0] = np.nan
    grid = Grid.from_latitude_longitude(
        np.linspace(first[0], last[0], height), np.linspace(first[1], last[1], width)
    )
    time = np.datetime64(datetime.strptime(stamp, "%Y%m%d%H%M%S"), "ns")
    yield observations(rate[None], [time], grid, PRODUCT.attributes())


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
