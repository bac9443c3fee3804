"""Broken radar files: a seeded mutator of whole ones, and files that declare more than they hold."""

import gzip
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from radar_files import (
    smhi_bytes,
    write_bom,
    write_fmi_geotiff,
    write_fmi_pgm,
    write_geotiff,
    write_hko7,
    write_knmi,
    write_meteonet,
    write_meteoswiss,
    write_mrms,
    write_odim,
    write_radolan,
    write_sevir,
    write_smhi,
)

HUGE = 200_000
_HEADER_BYTES = 64


def whole_files(folder: Path) -> list[Path]:
    """One readable file of each format."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 200, (32, 40))
    written = [
        lambda f: write_smhi(f, smhi_bytes(rng.random((4, 32, 32)))),
        lambda f: write_knmi(f, "2010-08-26T03:00", small),
        lambda f: write_meteoswiss(f, [0, 255, 120]),
        lambda f: write_fmi_pgm(f, "201609281445", small),
        lambda f: write_fmi_geotiff(f, "201609281445", small),
        lambda f: write_geotiff(f, "201609281445.tif", small.astype(np.float32), unit="mm/h"),
        lambda f: write_mrms(f, "20190610-000200", small),
        lambda f: write_odim(f, "20180824181500", small),
        lambda f: write_radolan(f, "RX", "201408102050", np.zeros((900, 900))),
        lambda f: write_meteonet(f, small[None], [0]),
        lambda f: write_sevir(f, small[None, :, :, None], ["S1"]),
        lambda f: write_hko7(f, "090102030000", np.zeros((480, 480))),
        lambda f: write_bom(f, "2018-06-16T10:00", small / 10.0),
    ]
    files = []
    for number, write in enumerate(written):
        (place := folder / f"{number:02}").mkdir(parents=True)
        files.append(write(place))
    return files


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """A file cut short, or with its first byte and others near the beginning flipped."""
    if rng.random() < 0.5:
        return content[: int(rng.integers(0, max(len(content) * 3 // 4, 1)))]
    changed = bytearray(content)
    for place in (0, *rng.integers(0, min(_HEADER_BYTES, len(content)), 8)):
        changed[place] ^= int(rng.integers(1, 256))
    changed[0] = content[0] ^ 0xFF
    return bytes(changed)


def mutants(files: list[Path], folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """``count`` mutants of whole files, each under the name of the whole one in a folder of its own."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        original = files[number % len(files)]
        (place := folder / f"mutant-{number:03}").mkdir(parents=True)
        path = place / original.name
        path.write_bytes(mutate(original.read_bytes(), rng))
        yield path


def impostors(folder: Path) -> list[Path]:
    """Files of the wrong type or shape, of a huge declared size, and bombs."""
    makers: list[Callable[[Path], Path]] = [
        _wrong_type_of_array,
        _wrong_shape_of_array,
        _huge_array,
        _huge_hdf5,
        _wrong_type_of_hdf5,
        _wrong_shape_of_hdf5,
        _huge_odim,
        _huge_pgm,
        _gzip_bomb,
        _zip_bomb,
        _huge_meteonet,
        _huge_grib,
        _huge_png,
        _huge_gif,
        _huge_netcdf,
        _empty,
        _text,
    ]
    made = []
    for make in makers:
        (place := folder / make.__name__.strip("_")).mkdir(parents=True)
        made.append(make(place))
    return made


_SMHI = "2021_05_11_02_302021_05_11_04_10f1.npy"
_KNMI = "RAD_NL25_RAP_5min_201008260300.h5"


def _wrong_type_of_array(folder: Path) -> Path:
    np.save(folder / _SMHI, np.zeros((8, 8, 20)))
    return folder / _SMHI


def _wrong_shape_of_array(folder: Path) -> Path:
    np.save(folder / _SMHI, np.zeros((8, 8), np.uint8))
    return folder / _SMHI


def _huge_array(folder: Path) -> Path:
    with (folder / _SMHI).open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (HUGE, HUGE, 20)}
        )
    return folder / _SMHI


def _replace_image(path: Path, **dataset: object) -> Path:
    with h5py.File(path, "a") as file:
        del file["image1/image_data"]
        file.create_dataset("image1/image_data", **dataset)
    return path


def _huge_hdf5(folder: Path) -> Path:
    path = write_knmi(folder, "2010-08-26T03:00", np.zeros((4, 4)))
    return _replace_image(path, shape=(HUGE, HUGE), dtype="u2", chunks=(1000, 1000))


def _wrong_type_of_hdf5(folder: Path) -> Path:
    path = write_knmi(folder, "2010-08-26T03:00", np.zeros((4, 4)))
    return _replace_image(path, data=np.full((4, 4), b"rain"))


def _wrong_shape_of_hdf5(folder: Path) -> Path:
    path = write_knmi(folder, "2010-08-26T03:00", np.zeros((4, 4)))
    return _replace_image(path, data=np.zeros((2, 4, 4), np.uint16))


def _huge_odim(folder: Path) -> Path:
    path = write_odim(folder, "20180824181500", np.zeros((4, 4)))
    with h5py.File(path, "a") as file:
        del file["dataset1/data1/data"]
        file.create_dataset("dataset1/data1/data", shape=(HUGE, HUGE), dtype="f8", chunks=(1000, 1000))
    return path


def _huge_pgm(folder: Path) -> Path:
    path = folder / "201609281445_fmi.pgm"
    path.write_bytes(f"P5\n{HUGE} {HUGE}\n255\n".encode() + bytes(100))
    return path


def _gzip_bomb(folder: Path) -> Path:
    path = folder / "201609281445_fmi.pgm.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"P5\n30000 30000\n255\n")
        for _ in range(900):
            file.write(bytes(1 << 20))
    return path


def _zip_bomb(folder: Path) -> Path:
    path = folder / "rainfall_NW_2016_08.3.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("dates.npy", "data.npy"):
            with archive.open(name, "w", force_zip64=True) as file:
                for _ in range(900):
                    file.write(bytes(1 << 20))
    return path


def _huge_meteonet(folder: Path) -> Path:
    path = write_meteonet(folder, np.zeros((1, 4, 4)), [0])
    content = {name: zipfile.ZipFile(path).read(name) for name in ("dates.npy", "miss_dates.npy")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)
        with archive.open("data.npy", "w") as file:
            header = {"descr": "<i2", "fortran_order": False, "shape": (1, HUGE, HUGE)}
            np.lib.format.write_array_header_1_0(file, header)
    return path


def _huge_grib(folder: Path) -> Path:
    path = write_mrms(folder, "20190610-000200", np.zeros((4, 4)))
    content = path.read_bytes()
    size = (4).to_bytes(4, "big")
    place = content.index(size + size)
    path.write_bytes(content[:place] + HUGE.to_bytes(4, "big") * 2 + content[place + 8 :])
    return path


def _huge_png(folder: Path) -> Path:
    path = write_hko7(folder, "090102030000", np.zeros((480, 480)))
    content = path.read_bytes()
    path.write_bytes(content[:16] + HUGE.to_bytes(4, "big") * 2 + content[24:])
    return path


def _huge_gif(folder: Path) -> Path:
    path = write_meteoswiss(folder, [0])
    content = path.read_bytes()
    path.write_bytes(content[:6] + b"\xff\xff\xff\xff" + content[10:])
    return path


def _huge_netcdf(folder: Path) -> Path:
    path = folder / "rain.nc"
    with h5py.File(path, "w") as file:
        rain = file.create_dataset("rain", shape=(1, HUGE, HUGE), dtype="f4", chunks=(1, 1000, 1000))
        rain.attrs["standard_name"], rain.attrs["units"] = "rainfall_rate", "mm h-1"
    return path


def _empty(folder: Path) -> Path:
    (folder / _KNMI).touch()
    return folder / _KNMI


def _text(folder: Path) -> Path:
    (folder / _KNMI).write_text("404 not found")
    return folder / _KNMI
