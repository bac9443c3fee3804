"""The paper's SMHI windows: uint8 `(y, x, time)` arrays of reflectivity, without georeference."""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation

NAME = "smhi"
_STAMP = r"\d{4}(?:_\d\d){4}"
_FILE_NAME = re.compile(rf"({_STAMP})({_STAMP})(f\d+)\.npy")
_PIXEL = 2000.0


def recognise(_: Path, head: bytes) -> bool:
    """A NumPy array."""
    return head.startswith(b"\x93NUMPY")


def read(path: Path) -> xr.DataArray:
    """All frames of one window; the file name holds start, end and tile.

    dBZ = 0.4 · value - 30 with 0 for no echo; the grid is local to the tile (2 km pixels).
    """
    if (match := _FILE_NAME.fullmatch(path.name)) is None:
        raise ObservationError(f"expected a file name like <start><end>f1.npy, found {path.name}")
    values = np.load(path, allow_pickle=False)
    if values.ndim != 3 or values.dtype != np.uint8:
        raise ObservationError(f"expected uint8 (y, x, time), found {values.dtype} {values.shape}")
    start, end = (np.datetime64(datetime.strptime(s, "%Y_%m_%d_%H_%M"), "ns") for s in match.groups()[:2])
    height, width, frames = values.shape
    frame_first = np.moveaxis(values, -1, 0)
    relation = ZRRelation()
    rate = np.where(frame_first == 0, 0.0, relation.rain_rate(0.4 * frame_first - 30.0))
    grid = Grid.from_edges(
        (height, width), west=0.0, east=width * _PIXEL, south=0.0, north=height * _PIXEL, crs=None
    )
    return observations(
        rate,
        [start + i * (end - start) // frames for i in range(frames)],
        grid,
        {
            "product": "SMHI composite, windows of SSLDM-ISI",
            "institution": "Swedish Meteorological and Hydrological Institute",
            "license": "SMHI open data, CC BY 4.0",
            "place": match[3],
            "zr_a": relation.a,
            "zr_b": relation.b,
        },
    )
