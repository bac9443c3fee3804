"""Météo-France MeteoNet: rain or reflectivity of ten days in one npz file, coordinates in another."""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import xarray as xr
from numpy.lib import format as npy
from numpy.typing import NDArray

from ssldm.errors import NotGeoreferenced, ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, parts_of_name, rate_of_decibel
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation, rate_of_accumulation

NAME = "meteonet"
_FILE_NAME = re.compile(r"^(?P<kind>rainfall|reflectivity)_.*?(?P<zone>[A-Z]{2})_\d{4}")
_MINUTES = 5.0
_UNOBSERVED = {"rainfall": -1, "reflectivity": 255}
_MAX_DATES_BYTES = 1 << 22
_DEGREES, _METRES_A_DEGREE = 0.01, 111_195.0


def recognise(path: Path, head: bytes) -> bool:
    """An npz file that holds data and dates."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"data.npy", "dates.npy"} <= set(archive.namelist())


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """Frame by frame, northern row first: rain in 1/100 mm over five minutes, reflectivity in dBZ.

    The grid comes from ``radar_coords_ZONE.npz`` in the same folder; without it the data have none.
    """
    found = parts_of_name(_FILE_NAME, path, "rainfall_NW_2016_08.3.npz")
    kind = found["kind"]
    relation = options.zr or ZRRelation() if kind == "reflectivity" else None
    product = Product(
        f"MeteoNet {kind} {found['zone']}", "Météo-France", "etalab-2.0", "FR-MeteoFrance-rainfall_rate"
    )
    with zipfile.ZipFile(path) as archive:
        dates = _dates(archive)
        with archive.open("data.npy") as file:
            frames, height, width, dtype = _header(file)
            if frames != len(dates):
                raise ObservationError(f"expected a date for each of {frames} frames, found {len(dates)}")
            grid = _grid(path, found["zone"], (height, width))
            for date in dates:
                values = _frame(file, (height, width), dtype)
                stored = values.astype(np.float64)
                stored[values == _UNOBSERVED[kind]] = np.nan
                if relation is None:
                    rate: NDArray[Any] = rate_of_accumulation(stored / 100.0, _MINUTES)
                else:
                    rate = rate_of_decibel(stored, stored <= 0.0, relation)
                extra = {"accumulation_minutes": _MINUTES} if relation is None else {}
                yield observations(rate[None], [date], grid, product.attributes(relation, **extra))


def _header(file: IO[bytes]) -> tuple[int, int, int, np.dtype[Any]]:
    version = npy.read_magic(file)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = reader(file)
    if len(shape) != 3 or fortran or dtype.kind not in "iu":
        raise ObservationError(f"expected integers (time, y, x), found {dtype} {shape}")
    height, width = check_frame(shape[1:])
    return int(shape[0]), height, width, dtype


def _frame(file: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    size = shape[0] * shape[1] * dtype.itemsize
    block = file.read(size)
    if len(block) != size:
        raise ObservationError("cut short")
    return np.frombuffer(block, dtype).reshape(shape)


class _Dates(pickle.Unpickler):
    """Pickled dates and nothing else: a pickle may name any function, and these are all that it needs."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("datetime", "datetime"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise ObservationError(f"expected pickled dates, found {module}.{name}")
        return super().find_class(module, name)


def _dates(archive: zipfile.ZipFile) -> list[np.datetime64]:
    if archive.getinfo("dates.npy").file_size > _MAX_DATES_BYTES:
        raise ObservationError("expected dates, found something much larger")
    stream = io.BytesIO(archive.read("dates.npy"))
    version = npy.read_magic(stream)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    reader(stream)
    dates = _Dates(stream).load()
    if not all(isinstance(date, datetime) for date in dates):
        raise ObservationError("expected pickled dates, found something else")
    return [np.datetime64(date, "ns") for date in dates]


def _grid(path: Path, zone: str, shape: tuple[int, int]) -> Grid:
    coordinates = path.with_name(f"radar_coords_{zone}.npz")
    if not coordinates.exists():
        warnings.warn(
            f"no {coordinates.name} beside {path.name}: its frames are not georeferenced",
            NotGeoreferenced,
            stacklevel=2,
        )
        side = _DEGREES * _METRES_A_DEGREE
        east, north = shape[1] * side, shape[0] * side
        return Grid.from_edges(shape, west=0.0, east=east, south=0.0, north=north, crs=None)
    with np.load(coordinates, allow_pickle=False) as file:
        lat, lon = file["lats"], file["lons"]
    if lat.shape != shape or lon.shape != shape:
        raise ObservationError(f"expected coordinates of {shape}, found {lat.shape} in {coordinates.name}")
    return Grid.from_latitude_longitude(lat[:, 0], lon[0])
