"""Forecasts of others are nowcasts as soon as they are opened."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import Proj

from ssldm.errors import ObservationError, OutputError
from ssldm.forecast.dataset import check_nowcast_output, open_nowcast
from ssldm.verification.quiet_pysteps import pysteps_module

METADATA = {
    "projection": "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=0 +x_0=0 +y_0=0 +a=6378137 +rf=298.257",
    "x1": 0.0,
    "x2": 24000.0,
    "y1": -3_670_000.0,
    "y2": -3_650_000.0,
    "cartesian_unit": "m",
    "yorigin": "upper",
    "unit": "mm/h",
    "transform": None,
    "threshold": 0.1,
    "zerovalue": 0.0,
}
PROJECTION = Proj(METADATA["projection"])


@pytest.fixture(params=[3, 1])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A file of pysteps, of an ensemble or of one forecast, and what is in it ``(m, t, y, x)``."""
    members = request.param
    rate = np.random.default_rng(0).gamma(0.3, 4.0, (members, 4, 20, 24)).astype(np.float32)
    rate[:, :, :3] = np.nan
    exporters = pysteps_module("io.exporters")
    exporter = exporters.initialize_forecast_exporter_netcdf(
        str(tmp_path),
        "steps",
        datetime(2010, 8, 26, 3, 30),  # noqa: DTZ001  # pysteps takes UTC so
        5,
        4,
        (20, 24),
        METADATA,
        n_ens_members=members,
    )
    exporters.export_forecast_dataset(rate if members > 1 else rate[0], exporter)
    exporters.close_forecast_files(exporter)
    return tmp_path / "steps.nc", rate


def test_a_file_of_pysteps_is_a_nowcast(written: tuple[Path, np.ndarray]) -> None:
    path, rate = written
    forecast = open_nowcast(path)
    assert forecast["precipitation_rate"].dims == ("member", "lead_time", "y", "x")
    # pysteps rounds rates to hundredths.
    np.testing.assert_allclose(forecast["precipitation_rate"], rate, atol=0.01)
    assert str(forecast["forecast_reference_time"].values)[:16] == "2010-08-26T03:30"
    assert (forecast["lead_time"] / np.timedelta64(1, "m")).values.tolist() == [5.0, 10.0, 15.0, 20.0]
    assert forecast["x"].values[[0, -1]].tolist() == [500.0, 23500.0]
    assert forecast["y"].values[[0, -1]].tolist() == [-3650500.0, -3669500.0]
    assert "seed" not in forecast.attrs
    assert forecast.attrs["source"].startswith("pysteps")
    probability = forecast.ssldm.exceedance_probability(2.0)
    np.testing.assert_allclose(probability[1, 5:], (rate[:, 1, 5:] >= 2.0).mean(axis=0), atol=1e-6)
    lat, lon = 55.885, 0.188
    x, y = PROJECTION(lon, lat)
    place = forecast.ssldm.at(lat=lat, lon=lon)
    assert abs(place["x"] - x) <= 500.0
    assert abs(place["y"] - y) <= 500.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.assign(rain=data["rain"].assign_attrs(units="K")), "rain rate"),
        (lambda data: data.assign_coords(time=data["time"] + np.timedelta64(7, "m")), "evenly spaced"),
        (lambda data: data.isel(time=[0, 2]), "evenly spaced"),
    ],
    ids=["no rain", "a gap before the first time", "a gap between times"],
)
def test_what_is_no_forecast_is_refused(change: object, said: str, tmp_path: Path) -> None:
    start = np.datetime64("2010-08-26T03:30", "ns")
    times = start + np.arange(1, 4) * np.timedelta64(5, "m")
    axes = {name: (name, np.arange(8) * 1000.0, {"units": "m"}) for name in ("y", "x")}
    rain = ("time", "y", "x"), np.ones((3, 8, 8), np.float32), {"units": "mm h-1"}
    data = xr.Dataset({"rain": rain}, coords={"time": times, **axes})
    units = {"units": "seconds since 2010-08-26 03:30:00", "dtype": "int64"}
    data.to_netcdf(tmp_path / "good.nc", engine="h5netcdf", encoding={"time": units})
    assert open_nowcast(tmp_path / "good.nc").sizes["member"] == 1
    wrong = change(data)  # type: ignore[operator]
    wrong.to_netcdf(tmp_path / "bad.nc", engine="h5netcdf", encoding={"time": units})
    with pytest.raises(ObservationError, match=rf"bad\.nc: expected .*{said}"):
        open_nowcast(tmp_path / "bad.nc")


def test_a_store_of_others_is_not_replaced(tmp_path: Path) -> None:
    times = np.datetime64("2010-08-26T03:30", "ns") + np.arange(1, 4) * np.timedelta64(5, "m")
    data = xr.Dataset(
        {"rain": (("time", "y", "x"), np.ones((3, 8, 8)), {"units": "mm h-1"})}, {"time": times}
    )
    data.to_zarr(tmp_path / "theirs.zarr")
    with pytest.raises(OutputError):
        check_nowcast_output(tmp_path / "theirs.zarr")
