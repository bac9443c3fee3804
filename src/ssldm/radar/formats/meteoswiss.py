"""MeteoSwiss AQC: five-minute accumulations as colour-table GIF."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, parts_of_name
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import rate_of_accumulation

NAME = "meteoswiss"
PRODUCT = Product("MeteoSwiss AQC", "MeteoSwiss", "CC-BY-4.0", "CH-MeteoSwiss-rainfall_rate")
_FILE_NAME = re.compile(r"AQC(?P<time>\d{9})\w_00005\b")
_MINUTES = 5.0
_SIZE = (640, 710)
# The images say nothing of their grid: LV03, the Swiss grid, and its edges in metres.
_CRS = (
    "+proj=somerc +lon_0=7.43958333333333 +lat_0=46.9524055555556 +k_0=1 +x_0=600000 +y_0=200000 "
    "+ellps=bessel +towgs84=674.374,15.056,405.346,0,0,0,0 +units=m +no_defs"
)
_EDGES = {"west": 255_000.0, "east": 965_000.0, "south": -160_000.0, "north": 480_000.0}
# Colours below the first are dry, as are those from the second on, but for the last, which is unobserved.
_WET, _ABOVE, _UNOBSERVED = 2, 251, 255


def recognise(_: Path, head: bytes) -> bool:
    """A GIF file."""
    return head.startswith((b"GIF87a", b"GIF89a"))


def read(path: Path, _: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame; the file name holds time (year, day of the year, hour, minute) and period."""
    from PIL import Image

    found = parts_of_name(_FILE_NAME, path, "AQC151351545F_00005.801.gif")
    with Image.open(path) as image:
        if image.size[::-1] != _SIZE:
            raise ObservationError(f"expected a {_SIZE[0]}×{_SIZE[1]} image, found {image.size[::-1]}")
        accumulation = _millimetres()[np.asarray(image)]
    yield observations(
        rate_of_accumulation(accumulation, _MINUTES)[None],
        [np.datetime64(datetime.strptime(found["time"], "%y%j%H%M"), "ns")],
        Grid.from_edges(_SIZE, **_EDGES, crs=_CRS),
        PRODUCT.attributes(accumulation_minutes=_MINUTES),
    )


def _millimetres() -> NDArray[np.float64]:
    """Rain of five minutes in mm of each colour: half decibels of Z = 316 R^1.5, as pysteps reads them."""
    colour = np.arange(256)
    wet = (10.0 ** ((colour - 71.5) / 20.0) / 316.0) ** (1.0 / 1.5)
    rain = np.where((colour >= _WET) & (colour < _ABOVE), wet, 0.0)
    return np.where(colour == _UNOBSERVED, np.nan, rain)
