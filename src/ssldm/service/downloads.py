"""Files to download: written once, streamed, and gone from the disk before the first byte is sent."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import dask
import xarray as xr

from ssldm.forecast.dataset import write_nowcast
from ssldm.product_files import write_geotiff
from ssldm.radar.observations import NAME
from ssldm.service.maps import read

_PIECE = 2**18


class Download:
    """A file without a name: its space is free when nobody reads it any more.

    Args:
        write: makes the file in a folder, and returns where.

    Attributes:
        size: in bytes.
    """

    def __init__(self, write: Callable[[Path], Path]) -> None:
        with TemporaryDirectory(prefix="ssldm-") as folder:
            self._file: BinaryIO = write(Path(folder)).open("rb")
        self.size = os.fstat(self._file.fileno()).st_size

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def pieces(self) -> Iterator[bytes]:
        """Its content; any number may read at once."""
        for start in range(0, self.size, _PIECE):
            yield os.pread(self._file.fileno(), _PIECE, start)


def netcdf(forecast: xr.Dataset) -> Download:
    """Members of a stored forecast as CF NetCDF."""
    members = forecast[[NAME]].chunk({"member": 1})
    members[NAME] = members[NAME].round(2).astype("float32").assign_attrs(forecast[NAME].attrs)

    def write(folder: Path) -> Path:
        with dask.config.set(scheduler="synchronous"):
            write_nowcast(members, folder / "nowcast.nc")
        return folder / "nowcast.nc"

    return Download(write)


def geotiff(name: str, field: xr.DataArray, forecast: xr.Dataset) -> Download:
    """A map ``(y, x)`` of a stored forecast as cloud-optimised GeoTIFF."""
    whole = field.copy(data=read(field)).expand_dims("band")
    return Download(lambda folder: write_geotiff(name, whole, forecast, folder))
