"""HKO-7: reflectivity around Hong Kong as PNG, with a mask of the noisy pixels."""

import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, parts_of_name, rate_of_decibel
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation

NAME = "hko7"
PRODUCT = Product("HKO-7 CAPPI reflectivity", "Hong Kong Observatory", "unknown", "HK-HKO-rainfall_rate")
RELATION = ZRRelation(a=58.53, b=1.56)
_FILE_NAME = re.compile(r"^RAD(?P<time>\d{12})\.png$", re.IGNORECASE)
_SIDE_METRES = 512_000.0
_SIZE = (480, 480)
_IMAGES, _MASKS = "radarPNG", "radarPNG_mask"


def recognise(_: Path, head: bytes) -> bool:
    """A PNG image."""
    return head.startswith(b"\x89PNG\r\n\x1a\n")


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame; dBZ = value · 70 / 255 - 10, 0 is no echo; the time in the file name is taken as UTC.

    The mask (``.mask``, zlib of 480×480 booleans, true is valid) lies beside the image or in the folder
    ``radarPNG_mask`` that mirrors ``radarPNG``; without one every pixel counts as observed.
    """
    from PIL import Image

    found = parts_of_name(_FILE_NAME, path, "RAD091209010000.png")
    with Image.open(path) as image:
        if image.size[::-1] != _SIZE:
            raise ObservationError(f"expected {_SIZE[0]}×{_SIZE[1]} pixels, found {image.size[::-1]}")
        values = np.asarray(image.convert("L"))
    relation = options.zr or RELATION
    table = np.arange(256, dtype=np.float64)
    rate = rate_of_decibel(table * 70.0 / 255.0 - 10.0, table == 0, relation)[values]
    if (mask := _mask_path(path)) is not None:
        rate = np.where(_mask(mask), rate, np.float32(np.nan))
    grid = Grid.from_edges(_SIZE, west=0.0, east=_SIDE_METRES, south=0.0, north=_SIDE_METRES, crs=None)
    time = np.datetime64(datetime.strptime(found["time"], "%y%m%d%H%M%S"), "ns")
    yield observations(rate[None], [time], grid, PRODUCT.attributes(relation))


def _mask_path(path: Path) -> Path | None:
    parts = [_MASKS if part == _IMAGES else part for part in path.parts]
    candidates = (path.with_suffix(".mask"), Path(*parts).with_suffix(".mask"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _mask(path: Path) -> NDArray[np.bool_]:
    size = _SIZE[0] * _SIZE[1]
    unpacker = zlib.decompressobj()
    valid = np.frombuffer(unpacker.decompress(path.read_bytes(), size + 1), np.uint8)
    if valid.size != size:
        raise ObservationError(f"{path.name}: expected {size} pixels, found {valid.size}")
    return valid.reshape(_SIZE).astype(bool)
