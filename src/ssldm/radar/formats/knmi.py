"""KNMI `RAD_NL25_RAP_5min`: five-minute accumulations of the Dutch composite, HDF5."""

from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.quiet_pysteps import pysteps_module
from ssldm.radar.units import rate_of_accumulation

NAME = "knmi"
_TIME = "%d-%b-%Y;%H:%M:%S.%f"


def recognise(path: Path, head: bytes) -> bool:
    """HDF5 with KNMI's `geographic` group."""
    if not head.startswith(b"\x89HDF\r\n\x1a\n"):
        return False
    import h5py

    with h5py.File(path) as file:
        return "geographic" in file and "image1" in file


def read(path: Path) -> xr.DataArray:
    """One frame, at the end of its accumulation period."""
    import h5py

    import_knmi_hdf5 = pysteps_module("io.importers").import_knmi_hdf5

    with h5py.File(path) as file:
        attributes = file["overview"].attrs
        begin, end = (
            datetime.strptime(attributes[f"product_datetime_{name}"].item().decode(), _TIME)
            for name in ("start", "end")
        )
    minutes = (end - begin).total_seconds() / 60.0
    accumulation, _, metadata = import_knmi_hdf5(str(path), qty="ACRR", accutime=minutes)
    return observations(
        rate_of_accumulation(accumulation, minutes)[None],
        [np.datetime64(end, "ns")],
        Grid.from_pysteps(accumulation.shape, metadata),
        {
            "product": "KNMI RAD_NL25_RAP_5min",
            "institution": metadata["institution"],
            "license": "KNMI open data",
        },
    )
