"""`ssldm products`: maps that others read, with place and time right, and tables of points and catchments."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import xarray as xr
from forecasts import random_forecast
from radar_files import write_knmi
from small_nowcasts import MINUTE, START, random_nowcast

from ssldm.cli import main
from ssldm.forecast.dataset import write_nowcast
from ssldm.radar.simulation import simulate


@pytest.fixture
def forecast() -> xr.Dataset:
    return random_nowcast(5, 8, 24, 30)


@pytest.fixture
def file(forecast: xr.Dataset, tmp_path: Path) -> Path:
    write_nowcast(forecast, tmp_path / "nowcast.nc")
    return tmp_path / "nowcast.nc"


def run_all(*arguments: object) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(part) for part in arguments])
    assert end.value.code == 0


def run(*arguments: object) -> None:
    run_all("products", *arguments)


def test_a_file_holds_the_products(forecast: xr.Dataset, file: Path, tmp_path: Path) -> None:
    run(file, "--out", tmp_path / "out", "--periods", "30min,60min", "--thresholds", "1,5")
    path = tmp_path / "out" / "products.nc"
    with xr.open_dataset(path, engine="h5netcdf", decode_timedelta=True) as found:
        of = forecast.ssldm
        np.testing.assert_allclose(found["mean_rate"], of.mean(), rtol=1e-6)
        np.testing.assert_allclose(found["rate_quantile"], of.quantile([0.1, 0.5, 0.9]), rtol=1e-6)
        np.testing.assert_allclose(found["matched_mean_rate"], of.probability_matched_mean())
        for number, least in enumerate((1.0, 5.0)):
            expected = of.exceedance_probability(least, period="30min")
            np.testing.assert_allclose(found["amount_probability_30min"][number], expected)
            np.testing.assert_allclose(found["rate_probability"][number], of.exceedance_probability(least))
        assert found["amount_quantile_60min"].attrs["units"] == "mm"
        np.testing.assert_array_equal(found["valid_time"], forecast["valid_time"])
        assert {"lat", "lon", "crs"} <= set(found.coords)


@pytest.mark.parametrize("methods", ["time: mean", "time: point"])
def test_files_pass_the_cf_checker(methods: str, tmp_path: Path) -> None:
    write_nowcast(random_forecast(cell_methods=methods), tmp_path / "nowcast.nc")
    run(tmp_path / "nowcast.nc", "--out", tmp_path / "out", "--periods", "10min")
    checker = Path(sys.executable).with_name("compliance-checker")
    checked = subprocess.run(
        [checker, "--test=cf:1.11", "--criteria=strict", tmp_path / "out" / "products.nc"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_zarr_holds_the_same(file: Path, tmp_path: Path) -> None:
    run(file, "--out", tmp_path / "out")
    run(file, "--out", tmp_path / "out", "--format", "zarr")
    run(file, "--out", tmp_path / "out", "--format", "zarr")  # replaces itself
    netcdf = xr.open_dataset(tmp_path / "out" / "products.nc", engine="h5netcdf", decode_timedelta=True)
    store = xr.open_zarr(tmp_path / "out" / "products.zarr", chunks=None, decode_timedelta=True)
    with netcdf, store:
        xr.testing.assert_allclose(store.load(), netcdf.load())


def test_geotiff_has_place_and_time_right(forecast: xr.Dataset, file: Path, tmp_path: Path) -> None:
    run(file, "--out", tmp_path / "out", "--format", "cog", "--periods", "60min")
    names = sorted(path.name for path in (tmp_path / "out" / "rate_probability").iterdir())
    assert names[:2] == ["rate_probability_20240710T121500Z.tif", "rate_probability_20240710T123000Z.tif"]
    assert len(names) == 8
    with rasterio.open(tmp_path / "out" / "rate_probability" / names[1]) as found:
        assert found.count == 3
        assert found.descriptions == ("threshold 1", "threshold 5", "threshold 10")
        assert found.tags()["valid_time"] == "2024-07-10T12:30:00Z"
        assert found.tags()["TIFFTAG_DATETIME"] == "2024:07:10 12:30:00"
        own = pyproj.CRS.from_wkt(forecast["crs"].attrs["crs_wkt"])
        assert pyproj.CRS.from_wkt(found.crs.to_wkt()).to_proj4() == own.to_proj4()
        expected = forecast.ssldm.exceedance_probability(5.0).isel(lead_time=1)
        for row, column in ((0, 0), (3, 7), (23, 29)):
            x, y = float(forecast["x"][column]), float(forecast["y"][row])
            (values,) = found.sample([(x, y)])
            assert values[1] == pytest.approx(float(expected[row, column]), nan_ok=True)
            assert found.xy(row, column) == pytest.approx((x, y))


def test_points_and_catchments_become_tables(forecast: xr.Dataset, file: Path, tmp_path: Path) -> None:
    to_degrees = pyproj.Transformer.from_crs(
        pyproj.CRS.from_wkt(forecast["crs"].attrs["crs_wkt"]), "EPSG:4326", always_xy=True
    )
    lon, lat = to_degrees.transform(2_500.0, 3_600.0)
    (tmp_path / "points.csv").write_text(f"name,lat,lon\nUtrecht,{lat},{lon}\n")
    ring = [to_degrees.transform(x, y) for x, y in ((0, 0), (4e3, 0), (4e3, 4e3), (0, 4e3), (0, 0))]
    shape = {"type": "Polygon", "coordinates": [ring]}
    content = {"type": "Feature", "properties": {"name": "Vecht"}, "geometry": shape}
    (tmp_path / "areas.geojson").write_text(json.dumps(content))
    run(
        file, "--out", tmp_path / "out", "--periods", "60min", "--thresholds", "2", "--quantiles", "0.5",
        "--points", tmp_path / "points.csv", "--polygons", tmp_path / "areas.geojson",
    )  # fmt: skip
    points = pd.read_csv(tmp_path / "out" / "points.csv")
    assert list(points.columns[:1]) == ["point"]
    assert set(points["point"]) == {"Utrecht"}
    row = points[(points["product"] == "amount_quantile_60min") & (points["lead_minutes"] == 60)].iloc[0]
    assert (row["valid_time"], row["quantile"], row["units"]) == ("2024-07-10T13:00:00Z", 0.5, "mm")
    expected = forecast.ssldm.at(x=2_500.0, y=3_600.0).ssldm.quantile(0.5, period="60min")
    assert row["value"] == pytest.approx(float(expected[3]), rel=1e-4)
    # The first hour is not forecast whole before that.
    early = points[(points["product"] == "amount_quantile_60min") & (points["lead_minutes"] < 60)]
    assert early["value"].isna().all()
    areas = pd.read_csv(tmp_path / "out" / "areas.csv")
    row = areas[(areas["product"] == "rate_probability") & (areas["lead_minutes"] == 30)].iloc[0]
    probability = forecast.ssldm.over(content).ssldm.exceedance_probability(2.0)
    assert row["value"] == pytest.approx(float(probability[1, 0]), abs=1e-5)
    assert (row["area"], row["threshold"]) == ("Vecht", 2.0)
    assert row["covered_share"] == pytest.approx(1.0)


def test_observations_in_front_make_amounts_right_from_the_first_minute(
    forecast: xr.Dataset, tmp_path: Path
) -> None:
    observed = xr.DataArray(
        np.full((3, 24, 30), 4.0, np.float32),
        dims=("time", "y", "x"),
        coords={"time": START + np.array([-30, -15, 0]) * MINUTE, "y": forecast["y"], "x": forecast["x"]},
    )
    whole = forecast.ssldm.joined(observed)
    assert (whole["lead_time"].values[:4] / MINUTE).tolist() == [-30.0, -15.0, 0.0, 15.0]
    amount = whole.ssldm.accumulation("60min").sel(lead_time=forecast["lead_time"])
    np.testing.assert_allclose(amount, forecast.ssldm.accumulation("60min", observations=observed))
    expected = 3.0 + 0.25 * forecast["precipitation_rate"].isel(lead_time=0)
    np.testing.assert_allclose(amount.isel(lead_time=0), expected, rtol=1e-5)
    point = whole.ssldm.at(x=500.0, y=500.0).ssldm.accumulation("60min")
    np.testing.assert_allclose(point[:, 3], amount.sel(x=500.0, y=500.0, method="nearest")[:, 0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "png"), "format"),
        (("--thresholds", "heavy"), "expected numbers as thresholds"),
        (("--quantiles", "50"), "quantiles.0: expected less than or equal to 1"),
        (("--periods", "20min"), "whole time steps of 15 min"),
        (("--points", "{folder}/none.csv"), "expected points in CSV"),
        (("--polygons", "{folder}/none.geojson"), "found none at"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(
    file: Path, tmp_path: Path, options: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(
            [
                "products",
                str(file),
                "--out",
                str(tmp_path / "out"),
                options[0],
                options[1].format(folder=tmp_path),
            ]
        )
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    (tmp_path / "towns.csv").write_text("name,x,y\nMill,20500,-3670500\n")
    path = tmp_path / "products.yaml"
    path.write_text("quantiles: [0.5]\nthresholds: [1]\nperiods: [30min]\npoints: towns.csv\n")
    return path


def test_a_forecast_becomes_products_without_its_members(tmp_path: Path, asked: Path) -> None:
    """The same as of its file with the observations in front."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, values in enumerate((simulate(8, (64, 64), seed=1).values * 100 / 12).round()):
        write_knmi(frames, f"2010-08-26T03:{5 * number:02}", values)
    options = ["--members", "2", "--device", "cpu"]
    run_all("nowcast", frames, "--out", tmp_path / "maps", "--products", asked, *options)
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"products.nc", "points.csv"}
    run_all("nowcast", frames, "--out", tmp_path / "n.nc", *options)
    given = ("--quantiles", "0.5", "--thresholds", "1", "--periods", "30min")
    places = ("--points", tmp_path / "towns.csv", "--observations", frames)
    run(tmp_path / "n.nc", "--out", tmp_path / "again", *given, *places)
    first, second = (
        xr.load_dataset(tmp_path / folder / "products.nc", engine="h5netcdf", decode_timedelta=True)
        for folder in ("maps", "again")
    )
    xr.testing.assert_allclose(first, second)
    # Six frames of five minutes, of which five were observed.
    assert np.isfinite(first["amount_probability_30min"][:, 0]).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quantile: [0.5]", "did you mean quantiles?"),
        ("thresholds: [-1]", "thresholds.0: expected greater than 0"),
        ("periods: [soon]", "expected periods such as 60min"),
        ("[", "expected products in YAML"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(
    text: str, said: str, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.write_text(text)
    arguments = ["nowcast", str(tmp_path), "--out", str(tmp_path / "maps"), "--products", str(asked)]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err
