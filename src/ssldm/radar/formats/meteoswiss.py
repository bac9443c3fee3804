"""MeteoSwiss AQC: five-minute accumulations as colour-table GIF."""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.quiet_pysteps import pysteps_module
from ssldm.radar.units import rate_of_accumulation

NAME = "meteoswiss"
_FILE_NAME = re.compile(r"AQC(\d{9})")
_MINUTES = 5.0


def recognise(_: Path, head: bytes) -> bool:
    """A GIF file."""
    return head.startswith((b"GIF87a", b"GIF89a"))


def read(path: Path) -> xr.DataArray:
    """One frame; its time stands in the file name (year, day of the year, hour, minute)."""
    import_mch_gif = pysteps_module("io.importers").import_mch_gif

    if (match := _FILE_NAME.search(path.name)) is None:
        raise ObservationError(f"expected a file name like AQC151351545F_00005.801.gif, found {path.name}")
    time = datetime.strptime(match[1], "%y%j%H%M")
    accumulation, _, metadata = import_mch_gif(str(path), product="AQC", unit="mm", accutime=_MINUTES)
    return observations(
        rate_of_accumulation(accumulation, _MINUTES)[None],
        [np.datetime64(time, "ns")],
        Grid.from_pysteps(accumulation.shape, metadata),
        {
            "product": "MeteoSwiss AQC",
            "institution": metadata["institution"],
            "license": "example data of pySTEPS",
        },
    )
