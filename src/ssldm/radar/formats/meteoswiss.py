"""MeteoSwiss AQC: five-minute accumulations as colour-table GIF."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, parts_of_name
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.quiet_pysteps import pysteps_module
from ssldm.radar.units import rate_of_accumulation

NAME = "meteoswiss"
PRODUCT = Product("MeteoSwiss AQC", "MeteoSwiss", "CC-BY-4.0", "CH-MeteoSwiss-rainfall_rate")
_FILE_NAME = re.compile(r"AQC(?P<time>\d{9})\w_00005\b")
_MINUTES = 5.0
_SIZE = (640, 710)


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
    importer = pysteps_module("io.importers").import_mch_gif
    accumulation, _, metadata = importer(str(path), product="AQC", unit="mm", accutime=_MINUTES)
    yield observations(
        rate_of_accumulation(accumulation, _MINUTES)[None],
        [np.datetime64(datetime.strptime(found["time"], "%y%j%H%M"), "ns")],
        Grid.from_pysteps(accumulation.shape, metadata),
        PRODUCT.attributes(accumulation_minutes=_MINUTES),
    )
