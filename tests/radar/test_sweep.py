"""Five hundred xarray objects, right and wrong: each opens with what was written or is refused."""

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from ssldm.errors import SsldmError
from ssldm.radar.open import open_radar

FRAMES, ROWS, COLUMNS = 4, 5, 6
STEP = 300.0
START = np.datetime64("2024-02-28T23:50", "ns")
# mm/h of one such unit, where frames come every five minutes; None is no rain.
UNITS = {
    "mm h-1": 1.0, "mm/h": 1.0, "kg m-2 s-1": 3600.0, "kg/m2/s": 3600.0, "m s-1": 3.6e6, "mm/5min": 12.0,
    "in/hr": 25.4, "mm/d": 1.0 / 24.0, "mm": 12.0, "kg/m^2": 12.0, "0.01 mm h-1": 0.01, "K": None, "": None,
    "1": None, "mm 5min-1": None, "dBZ": "decibel",
}  # fmt: skip
TYPES = ("f2", "f4", "f8", "i2", "i4", "O", "packed", "text")
JITTER = ("none", "seconds", "seven seconds a step", "a minute", "sub-second")
CLOCKS = ("ns", "s", "zone", "python", "text", "numbers", "missing", "float days", "shuffled")
GRIDS = (
    "m", "km", "km without units", "degrees", "degrees beside EPSG:4326", "positions", "kilometre projection",
    "south first", "gap", "unknown", "unsorted", "stretched", "single precision", "across the dateline",
    "no axes",
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """What was written and where it has to be found."""

    dataset: xr.Dataset
    rate: np.ndarray
    times: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    to_file: bool


def axes(kind: str) -> tuple[dict[str, object], np.ndarray, np.ndarray]:
    """Coordinates of a grid of some kind, and latitudes and longitudes ``(y, x)`` of its pixels."""
    if kind in {"degrees", "degrees beside EPSG:4326", "across the dateline"}:
        lat = 50.0 - 0.01 * np.arange(ROWS)
        lon = (179.975 if kind == "across the dateline" else 8.0) + 0.01 * np.arange(COLUMNS)
        shown = (lon + 180.0) % 360.0 - 180.0
        coords: dict[str, object] = {
            "y": ("y", lat, {"units": "degrees_north"}),
            "x": ("x", shown, {"units": "degrees_east"}),
        }
        coords["y"][2]["standard_name"], coords["x"][2]["standard_name"] = "latitude", "longitude"  # type: ignore[index]
        if kind == "degrees beside EPSG:4326":
            coords = {
                "y": ("y", lat),
                "x": ("x", shown),
                "spatial_ref": ((), 0, {"crs_wkt": CRS(4326).to_wkt()}),
            }
        return coords, *np.meshgrid(lat, lon, indexing="ij")
    y = 5_500_500.0 - 1000.0 * np.arange(ROWS)
    x = 500_500.0 + 1000.0 * np.arange(COLUMNS)
    if kind == "south first":
        y = y[::-1]
    lon, lat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(*np.meshgrid(x, y))
    crs = CRS("EPSG:32632")
    units, scale = {"units": "m"}, 1.0
    if kind in {"km", "km without units", "kilometre projection"}:
        units, scale = ({} if kind == "km without units" else {"units": "km"}), 1e-3
    if kind == "kilometre projection":
        crs = CRS.from_proj4("+proj=utm +zone=32 +datum=WGS84 +units=km")
    written = {
        "gap": np.where(np.arange(ROWS) < 3, y, y - 1000.0),
        "unknown": np.where(np.arange(ROWS) == 2, np.nan, y),
        "unsorted": y[[0, 2, 1, 3, 4]],
        "stretched": y[0] - 1000.0 * np.arange(ROWS) * (1.0 + 0.05 * np.arange(ROWS)),
        "single precision": y.astype(np.float32),
    }.get(kind, y)
    coords = {
        "y": ("y", written * scale, units),
        "x": ("x", x * scale, units),
        "spatial_ref": ((), 0, {"crs_wkt": crs.to_wkt()}),
    }
    if kind == "positions":
        coords = {"lat": (("y", "x"), lat), "lon": (("y", "x"), lon), "spatial_ref": coords["spatial_ref"]}
    return {} if kind == "no axes" else coords, lat, lon


def clock(kind: str, times: np.ndarray) -> object:
    """The same times in another form."""
    if kind == "zone":
        return pd.DatetimeIndex(times).tz_localize("UTC").tz_convert("Asia/Tokyo")
    if kind == "python":
        since = [
            datetime(2024, 2, 28, tzinfo=UTC) + timedelta(seconds=float(s))
            for s in (times - np.datetime64("2024-02-28")) / np.timedelta64(1, "s")
        ]
        return np.array(since, object)
    if kind == "text":
        return [f"frame {i}" for i in range(FRAMES)]
    if kind == "numbers":
        return np.arange(FRAMES) * 300.0
    if kind == "missing":
        return np.where(np.arange(FRAMES) == 1, np.datetime64("NaT"), times)
    return times.astype("M8[s]") if kind == "s" else times


@st.composite
def written(draw: st.DrawFn) -> Written:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rate = np.where(
        random.random((FRAMES, ROWS, COLUMNS)) < 0.5, 0.0, random.integers(1, 60, (FRAMES, ROWS, COLUMNS))
    )
    seconds = (
        STEP * np.arange(FRAMES)
        + {
            "none": np.zeros(FRAMES),
            "seconds": random.integers(-7, 8, FRAMES),
            "seven seconds a step": 7.0 * np.arange(FRAMES),
            "a minute": np.array([0.0, 0.0, 60.0, 0.0]),
            "sub-second": random.uniform(-0.4, 0.4, FRAMES),
        }[draw(st.sampled_from(JITTER))]
    )
    times = START + np.round(1e9 * seconds).astype("timedelta64[ns]")
    units, dtype = draw(st.sampled_from(list(UNITS))), draw(st.sampled_from(TYPES))
    kind, when = draw(st.sampled_from(GRIDS)), draw(st.sampled_from(CLOCKS))
    factor = UNITS[units]
    if factor == "decibel":
        values = np.where(rate > 0, 10.0 * np.log10(200.0 * np.maximum(rate, 1e-9) ** 1.6), -32.0)
        rate = np.where(rate > 0, rate, (10.0**-3.2 / 200.0) ** (1.0 / 1.6))
    else:
        values = rate / (1.0 if factor is None else factor)
    if dtype in {"i2", "i4"}:
        values = np.round(values)
    if dtype == "f2":
        values = values.astype("f2").astype("f8")
    # What a whole number or a half-precision one still says is what was written.
    rate = np.where(values > -1e9, values, 0.0)
    rate = (10.0 ** (rate / 10.0) / 200.0) ** (1.0 / 1.6) if factor == "decibel" else rate * (factor or 1.0)
    hole = tuple(int(random.integers(0, n)) for n in rate.shape)
    if dtype not in {"i2", "i4", "text"}:
        values[hole] = rate[hole] = np.nan
    coords, lat, lon = axes(kind)
    to_file = draw(st.booleans()) and dtype != "O" and when in {"ns", "s", "float days", "shuffled"}
    if dtype == "packed" and not to_file:
        dtype = "f8"
    stored = values.astype(str) if dtype == "text" else values.astype({"packed": "f8"}.get(dtype, dtype))
    data = xr.Dataset(
        {"rain_rate": (("time", "y", "x"), stored, {"units": units})},
        coords={"time": clock(when, times)} | coords,
    )
    if dtype == "packed":
        top = max(np.nanmax(np.abs(values)), 1e-12)
        data["rain_rate"].encoding = {
            "dtype": "i2",
            "scale_factor": top / 32_000.0,
            "_FillValue": np.int16(-32768),
        }
    if when == "float days":
        data["time"].encoding = {"units": "days since 2024-01-01", "dtype": "float64"}
    if when == "shuffled":
        data = data.isel(time=random.permutation(FRAMES))
    return Written(data, rate, times, lat, lon, to_file)


@seed(20241127)
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(written())
def test_an_object_opens_with_what_was_written_or_is_refused(case: Written) -> None:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source: object = case.dataset
        if case.to_file:
            source = Path(folder) / "a.nc"
            case.dataset.to_netcdf(source, engine="h5netcdf")
        try:
            found = open_radar(source).load()  # type: ignore[arg-type]
        except SsldmError as error:
            outcomes.append(str(error))
            return
    outcomes.append("opened")
    seconds = (found["time"].values - case.times) / np.timedelta64(1, "s")
    # One was perhaps cut off by writing whole seconds.
    assert np.abs(seconds).max() < 1.0
    there = Transformer.from_crs(CRS.from_wkt(found["crs"].attrs["crs_wkt"]), "EPSG:4326", always_xy=True)
    lon, lat = there.transform(*np.meshgrid(found["x"].values, found["y"].values))
    order = (
        slice(None)
        if abs(lat[0, 0] - case.lat[0, 0]) < abs(lat[0, 0] - case.lat[-1, 0])
        else slice(None, None, -1)
    )
    # A hundredth of a pixel of a kilometre.
    np.testing.assert_allclose(lat, case.lat[order], atol=1e-4)
    np.testing.assert_allclose((lon - case.lon[order] + 180.0) % 360.0 - 180.0, 0.0, atol=1e-4)
    wanted = case.rate[:, order]
    tolerance = 2e-3 * max(np.nanmax(wanted), 1e-9)
    np.testing.assert_allclose(
        found.values, np.where(wanted > 1000.0, np.nan, wanted), rtol=2e-3, atol=tolerance
    )


outcomes: list[str] = []


def test_both_happen_often() -> None:
    """Neither is everything refused nor nothing."""
    opened = outcomes.count("opened") / len(outcomes)
    assert len(outcomes) >= 500
    assert 0.2 < opened < 0.8
