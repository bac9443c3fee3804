"""The optional folder of real data: every value, grid, mask and time as the reference importers give them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from pyproj import CRS, Transformer
from wradlib.io.radolan import read_radolan_composite

from ssldm.radar.archive import open_archive
from ssldm.radar.archive_build import build_archive
from ssldm.radar.observations import time_step
from ssldm.radar.open import open_radar, read_item
from ssldm.radar.sources import resolve
from ssldm.verification.quiet_pysteps import pysteps_module

Reference = tuple[np.ndarray, dict[str, object] | None]


def pysteps(name: str, **options: object) -> Callable[[Path], Reference]:
    def read(path: Path) -> Reference:
        values, _, metadata = getattr(pysteps_module("io.importers"), f"import_{name}")(str(path), **options)
        return np.ma.filled(values, np.nan), metadata

    return read


def geotiff(path: Path) -> Reference:
    with rasterio.open(path) as file:
        values, bounds = file.read(1).astype(float), file.bounds
        metadata = {"x1": bounds.left, "x2": bounds.right, "y1": bounds.bottom, "y2": bounds.top}
    return np.where(values == 255, np.nan, values / 2.0 - 32.0), metadata | {"cartesian_unit": "m"}


def radolan(path: Path) -> Reference:
    values, _ = read_radolan_composite(str(path), missing=np.nan)
    return values[::-1], None


def smhi(path: Path) -> Reference:
    values = np.load(path)[:, :, 0].astype(float)
    return np.where(values == 0, -99.0, 0.4 * values - 30.0), None


def rain(lowest: float, a: float, b: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda z: np.where(z <= lowest, 0.0, (10.0 ** (z / 10.0) / a) ** (1.0 / b))


def times(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda v: v * factor


CASES = [
    ("knmi_h5", pysteps("knmi_hdf5"), times(12.0)),
    ("mch_gif/20150515", pysteps("mch_gif", product="AQC", unit="mm", accutime=5), times(12.0)),
    ("mch_gif/20170131", pysteps("mch_gif", product="AQC", unit="mm", accutime=5), times(12.0)),
    ("fmi_pgm", pysteps("fmi_pgm", gzipped=True), rain(-32.0, 223.0, 1.53)),
    ("fmi_geotiff", geotiff, rain(-32.0, 223.0, 1.53)),
    ("bom_nc", pysteps("bom_rf3"), times(10.0)),
    ("bom_c10_nc", pysteps("bom_rf3"), times(6.0)),
    ("opera_odim/T_PAAH21*", pysteps("odim_hdf5", qty="RATE"), times(1.0)),
    ("opera_odim/T_PABV21*", pysteps("odim_hdf5", qty="DBZH"), rain(-99.0, 200.0, 1.6)),
    ("radolan/*ry*", radolan, times(12.0)),
    ("radolan/*rw*", radolan, times(1.0)),
    ("smhi_npy", smhi, rain(-99.0, 200.0, 1.6)),
    ("mrms_grib2", pysteps("mrms_grib", window_size=1), times(1.0)),
]


@pytest.mark.parametrize(("source", "reference", "to_rate"), CASES, ids=[case[0] for case in CASES])
def test_values_masks_and_grids_equal_the_reference(
    real_data: Path, source: str, reference: Callable[[Path], Reference], to_rate: Callable
) -> None:
    items = resolve(real_data / source)
    for item in items[:: max(len(items) - 1, 1)]:
        expected, metadata = reference(Path(item.url))
        (data,) = read_item(item)
        found, rate = data.values[0], to_rate(expected)
        with np.errstate(invalid="ignore"):
            rate = np.where((rate > 1000.0) | (rate < 0.0), np.nan, rate)
        assert np.array_equal(np.isnan(found), np.isnan(rate))
        # Where OPERA says that nothing came back pysteps puts -30 dBZ, which is 0.0005 mm/h.
        np.testing.assert_allclose(found, rate, rtol=1e-5, atol=6e-4 if "PABV21" in source else 1e-6)
        if metadata is not None and not source.startswith("bom"):
            _same_grid(data, metadata)


def _same_grid(data: xr.DataArray, metadata: dict[str, object]) -> None:
    height, width = data.shape[1:]
    scale = 1000.0 if metadata["cartesian_unit"] == "km" else 1.0
    x1, x2, y1, y2 = (float(metadata[key]) * scale for key in ("x1", "x2", "y1", "y2"))
    x, y = x1 + (x2 - x1) / width * 0.5, y2 - (y2 - y1) / height * 0.5
    if metadata["cartesian_unit"] == "degrees":
        crs = CRS.from_wkt(data["crs"].attrs["crs_wkt"])
        to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        corner = to_degrees.transform(float(data["x"][0]), float(data["y"][0]))
        np.testing.assert_allclose(corner, (x - 360.0 * (x > 180.0), y), atol=1e-5)
    else:
        # Corners that are stored as angles are good to millimetres, OPERA's upper ones to decimetres.
        np.testing.assert_allclose((data["x"][0], data["y"][0]), (x, y), atol=0.5)


def test_bom_coordinates_are_taken_as_they_stand(real_data: Path) -> None:
    path = min((real_data / "bom_c10_nc").iterdir())
    data = open_radar(path)
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        np.testing.assert_allclose(data["x"], dataset["x"] * 1000.0)
        np.testing.assert_allclose(data["y"], dataset["y"] * 1000.0)


def test_radolan_reflectivity_equals_the_reference(real_data: Path) -> None:
    (item,) = resolve(real_data / "radolan/*rx*")
    reflectivity, header = read_radolan_composite(item.url, missing=np.nan)
    reflectivity = reflectivity / 2.0 - 32.5
    expected = rain(-32.5, 256.0, 1.42)(reflectivity)
    expected.flat[header.get("cluttermask", [])] = np.nan
    np.testing.assert_allclose(open_radar(item.url).values[0], expected[::-1], rtol=1e-5)


def test_meteonet_equals_its_arrays(real_data: Path) -> None:
    path = real_data / "meteonet_npz" / "rainfall_NW_2016_08.3.npz"
    stored = np.load(path, allow_pickle=True)
    data = open_radar(path)
    expected = np.where(stored["data"] == -1, np.nan, stored["data"] * 0.12)
    np.testing.assert_allclose(data.values, expected, rtol=1e-5)
    assert list(data["time"].values) == [np.datetime64(date, "ns") for date in stored["dates"]]


def test_sequences_are_regular(real_data: Path) -> None:
    steps = {
        "knmi_h5": 5,
        "mch_gif/20170131": 5,
        "fmi_pgm": 5,
        "smhi_npy/2021*f1.npy": 5,
        "bom_nc": 6,
        "bom_c10_nc/*_0?????.prcp-c10.nc": 10,
        "opera_odim/T_PABV21*201126_00*": 5,
    }
    for folder, minutes in steps.items():
        if not list(real_data.glob(folder)):
            continue
        data = open_radar(real_data / folder)
        assert time_step(data) == np.timedelta64(minutes, "m")
        assert float(data.min()) >= 0.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ssldm.errors.NotGeoreferenced")
@pytest.mark.parametrize(
    ("folder", "series", "frames"),
    [
        ("smhi_npy", 5, 760),
        ("knmi_h5", 1, 92),
        ("mch_gif", 1, 80),
        ("fmi_pgm", 1, 40),
        ("fmi_geotiff", 1, 4),
        ("mrms_grib2", 1, 36),
        ("bom_nc", 1, 61),
        ("bom_c10_nc", 1, 144),
        ("opera_odim", 2, 17),
        ("meteonet_npz", 4, 148),
        ("radolan", 3, 3),
    ],
)
def test_each_folder_builds_an_archive(
    real_data: Path, tmp_path: Path, folder: str, series: int, frames: int
) -> None:
    summary = build_archive(real_data / folder, tmp_path / "a.zarr", workers=2)
    stored = open_archive(tmp_path / "a.zarr")
    assert summary.refused == []
    assert len(stored) == series
    assert sum(data.sizes["time"] for data in stored) == frames
    if folder != "smhi_npy":
        last = resolve(real_data / folder)[-1]
        (piece, *_) = read_item(last)
        product, shape = piece.attrs["product"], piece.shape[1:]
        match = next(d for d in stored if d.attrs["product"] == product and d.shape[1:] == shape)
        np.testing.assert_array_equal(match.sel(time=piece["time"]).values, piece.values)
