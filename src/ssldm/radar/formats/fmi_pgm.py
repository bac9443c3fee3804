"""FMI lowest-level reflectivity composite as (gzipped) PGM."""

import gzip
import re
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.quiet_pysteps import pysteps_module
from ssldm.radar.units import ZRRelation

NAME = "fmi-pgm"
_GZIP = b"\x1f\x8b"
_FILE_NAME = re.compile(r"(\d{12})_fmi")


def recognise(path: Path, head: bytes) -> bool:
    """A binary PGM image, gzipped or not."""
    if not head.startswith(_GZIP):
        return head.startswith(b"P5")
    with gzip.open(path) as file:
        return file.read(2) == b"P5"


def read(path: Path) -> xr.DataArray:
    """One frame; its time stands in the file name."""
    import_fmi_pgm = pysteps_module("io.importers").import_fmi_pgm

    if (match := _FILE_NAME.match(path.name)) is None:
        raise ObservationError(f"expected a file name like 201609281445_fmi….pgm.gz, found {path.name}")
    gzipped = path.read_bytes()[:2] == _GZIP
    reflectivity, _, metadata = import_fmi_pgm(str(path), gzipped=gzipped)
    relation = ZRRelation(a=metadata["zr_a"], b=metadata["zr_b"])
    no_echo = reflectivity <= metadata["zerovalue"]
    rate = np.where(no_echo, 0.0, relation.rain_rate(reflectivity))
    return observations(
        rate[None],
        [np.datetime64(datetime.strptime(match[1], "%Y%m%d%H%M"), "ns")],
        Grid.from_pysteps(reflectivity.shape, metadata),
        {
            "product": "FMI lowest-level reflectivity composite",
            "institution": metadata["institution"],
            "license": "FMI open data, CC BY 4.0",
            "zr_a": relation.a,
            "zr_b": relation.b,
        },
    )
