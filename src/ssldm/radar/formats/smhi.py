"""The paper's SMHI windows: uint8 `(y, x, time)` arrays of reflectivity, without georeference."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, parts_of_name, rate_of_decibel
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation

NAME = "smhi"
PRODUCT = Product(
    "SMHI composite, windows of SSLDM-ISI",
    "Swedish Meteorological and Hydrological Institute",
    "CC-BY-4.0",
    "SE-SMHI-rainfall_rate",
)
_STAMP = r"\d{4}(?:_\d\d){4}"
_FILE_NAME = re.compile(rf"^(?P<start>{_STAMP})(?P<end>{_STAMP})(?P<place>f\d+)\.npy$")
_PIXEL = 2000.0
_STEP = np.timedelta64(5, "m")
_MAX_FRAMES = 2000


def recognise(_: Path, head: bytes) -> bool:
    """A NumPy array."""
    return head.startswith(b"\x93NUMPY")


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """All frames of one window, five minutes apart, the last at the end; the name holds start, end and tile.

    dBZ = 0.4 · value - 30 with 0 for no echo; the grid is local to the tile (2 km pixels).
    """
    found = parts_of_name(_FILE_NAME, path, "<start><end>f1.npy")
    stored = np.load(path, allow_pickle=False, mmap_mode="r")
    if stored.ndim != 3 or stored.dtype != np.uint8:
        raise ObservationError(f"expected uint8 (y, x, time), found {stored.dtype} {stored.shape}")
    shape, frames = check_frame(stored.shape[:2]), stored.shape[2]
    if not 0 < frames <= _MAX_FRAMES:
        raise ObservationError(f"expected 1 to {_MAX_FRAMES} frames, found {frames}")
    start, end = (
        np.datetime64(datetime.strptime(found[name], "%Y_%m_%d_%H_%M"), "ns") for name in ("start", "end")
    )
    # The last frame is that of the end: where a window of 95 minutes is followed by one of 100, the rain of
    # the second begins one step after that of the first, not at the same time.
    if end - start not in {frames * _STEP, (frames - 1) * _STEP}:
        raise ObservationError(f"expected {frames} frames five minutes apart, found {start} to {end}")
    relation = options.zr or ZRRelation()
    table = np.arange(256, dtype=np.float64)
    rates = rate_of_decibel(0.4 * table - 30.0, table == 0, relation)
    grid = Grid.from_edges(
        shape, west=0.0, east=shape[1] * _PIXEL, south=0.0, north=shape[0] * _PIXEL, crs=None
    )
    yield observations(
        rates[np.moveaxis(stored, -1, 0)],
        [end - (frames - 1 - i) * _STEP for i in range(frames)],
        grid,
        PRODUCT.attributes(relation, place=found["place"]),
    )
