"""Small files of every radar format, an archive made of them, and the optional folders of real data."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssldm.radar.archive import build_archive
from ssldm.radar.simulation import simulate

ROOT = Path(__file__).parents[1]


def _optional_folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"no folder at {folder}; set {variable}")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """Tensors of the published implementation."""
    return _optional_folder("SSLDM_REFERENCE", ROOT.parent / "shared" / "reference")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Radar files as published by weather services."""
    return _optional_folder("SSLDM_DATA", ROOT.parent / "shared" / "data")


def write_smhi(folder: Path, values: np.ndarray, start: str = "2021-05-11T02:30", place: str = "f1") -> Path:
    """A window of the paper: uint8 ``(y, x, time)``, five minutes a frame."""
    first = np.datetime64(start, "m")
    last = first + values.shape[2] * np.timedelta64(5, "m")
    stamps = [str(t).replace("-", "_").replace("T", "_").replace(":", "_") for t in (first, last)]
    path = folder / f"{stamps[0]}{stamps[1]}{place}.npy"
    np.save(path, values)
    return path


def write_knmi(folder: Path, time: str, values: np.ndarray) -> Path:
    """A five-minute accumulation in hundredths of a millimetre, 65535 unobserved."""
    end = np.datetime64(time, "m")
    path = folder / f"RAD_NL25_RAP_5min_{str(end).translate(str.maketrans('', '', '-T:'))}.h5"
    rows, columns = values.shape
    with h5py.File(path, "w") as file:
        file["image1/image_data"] = values.astype(np.uint16)
        geographic = file.create_group("geographic")
        geographic.attrs["geo_column_offset"] = np.array([0.0], np.float32)
        geographic.attrs["geo_row_offset"] = np.array([3650.0], np.float32)
        geographic.attrs["geo_number_columns"] = np.array([columns], np.int32)
        geographic.attrs["geo_number_rows"] = np.array([rows], np.int32)
        geographic.attrs["geo_pixel_size_x"] = np.array([1.0], np.float32)
        geographic.attrs["geo_pixel_size_y"] = np.array([-1.0], np.float32)
        geographic.attrs["geo_dim_pixel"] = np.bytes_(b"KM,KM")
        geographic.create_group("map_projection").attrs["projection_proj4_params"] = np.bytes_(
            b"+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378.137 +b=6356.752 +x_0=0 +y_0=0"
        )
        overview = file.create_group("overview")
        for name, moment in (("start", end - np.timedelta64(5, "m")), ("end", end)):
            stamp = moment.item().strftime("%d-%b-%Y;%H:%M:%S.000").upper()
            overview.attrs[f"product_datetime_{name}"] = np.bytes_(stamp.encode())
    return path


def write_fmi_pgm(folder: Path, stamp: str, values: np.ndarray) -> Path:
    """A gzipped PGM of reflectivity, (byte - 64) / 2 dBZ, 255 unobserved."""
    height, width = values.shape
    header = (
        "P5\n# type stereographic\n# centrallongitude 25\n# centrallatitude 90\n# truelatitude 60\n"
        "# bottomleft 18.600000 57.930000\n# topright 34.903000 69.005000\n"
        "# metersperpixel_x 999.674053\n# metersperpixel_y 999.62859\n"
        f"{width} {height}\n255\n"
    )
    path = folder / f"{stamp}_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz"
    with gzip.open(path, "wb") as file:
        file.write(header.encode() + values.astype(np.uint8).tobytes())
    return path


def smhi_bytes(rate: np.ndarray) -> np.ndarray:
    """Rain rate ``(t, y, x)`` in mm/h as the paper stores it."""
    with np.errstate(divide="ignore"):
        reflectivity = 10.0 * np.log10(200.0 * rate**1.6)
    stored = np.where(rate > 0, (reflectivity + 30.0) / 0.4, 0.0).round().clip(0, 255)
    return np.moveaxis(stored, 0, -1).astype(np.uint8)


@pytest.fixture(scope="session")
def storm_archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Archives of simulated storms of 64×64 pixels and 24 frames, one a seed."""

    def make(seed: int) -> Path:
        folder = tmp_path_factory.mktemp(f"storm-{seed}")
        write_smhi(folder, smhi_bytes(simulate(24, (64, 64), seed=seed).values))
        archive = folder.with_suffix(".zarr")
        build_archive([str(folder)], archive)
        return archive

    return make
