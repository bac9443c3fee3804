"""Nowcasts on disk: what is written is read again, GDAL finds its place, and CF says what it is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from forecasts import KNMI, STEP, frames_on, grid_of, random_forecast
from pyproj import CRS

from ssldm.errors import ObservationError, OutputError
from ssldm.forecast.dataset import check_nowcast_output, open_nowcast, write_nowcast
from ssldm.radar.archive_build import build_archive
from ssldm.radar.grid import Grid
from ssldm.radar.observations import NAME

CHECKER = Path(sys.executable).with_name("compliance-checker")
GRIDS = {
    "KNMI": grid_of(KNMI),
    "UTM": grid_of("EPSG:32633"),
    "OPERA": grid_of("+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +units=m +ellps=WGS84"),
    "MRMS": Grid.from_latitude_longitude(
        np.linspace(54.995, 54.705, 30), np.linspace(-129.995, -129.605, 40)
    ),
    "MeteoNet": Grid.from_latitude_longitude(np.linspace(51.89, 51.6, 30), np.linspace(-5.84, -5.45, 40)),
    "Web Mercator": grid_of("EPSG:3857"),
    "Krovak": grid_of("EPSG:5514"),
    "gnomonic": grid_of("+proj=gnom +lat_0=47 +lon_0=9 +ellps=WGS84 +units=m"),
    "Lambert conformal": grid_of("+proj=lcc +lat_1=45 +lat_2=50 +lat_0=47 +lon_0=9 +ellps=WGS84 +units=m"),
    "rotated pole": grid_of(
        "+proj=ob_tran +o_proj=eqc +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +R=6371229 +units=m"
    ),
    "Dutch grid": grid_of("EPSG:28992"),
}


def gdal(path: Path, variable: str) -> rasterio.DatasetReader:
    driver = "Zarr" if path.suffix == ".zarr" else "netCDF"
    with rasterio.Env() as environment:
        if driver not in environment.drivers():
            pytest.skip(f"rasterio without GDAL's {driver} driver")
    url = f'ZARR:"{path}":/{variable}' if driver == "Zarr" else f"netcdf:{path}:{variable}"
    return rasterio.open(url)


def assert_placed(path: Path, variable: str, expected: xr.DataArray, crs: str) -> None:
    """GDAL finds the value of each pixel at its x and y, which it knows to a hundredth of a pixel."""
    x, y = (expected[axis].values for axis in ("x", "y"))
    with gdal(path, variable) as opened:
        found = opened.read(1)
        step_x, step_y = opened.res
        rows, columns = rasterio.transform.rowcol(
            opened.transform, np.repeat(x[None], len(y), 0).ravel(), np.repeat(y, len(x))
        )
        np.testing.assert_array_equal(found[rows, columns].reshape(expected.shape), expected.values)
        centres = rasterio.transform.xy(opened.transform, rows, columns)
        np.testing.assert_allclose(centres[0], np.tile(x, len(y)), rtol=0, atol=0.01 * step_x)
        np.testing.assert_allclose(centres[1], np.repeat(y, len(x)), rtol=0, atol=0.01 * step_y)
        assert CRS.from_wkt(opened.crs.to_wkt()).equals(CRS.from_user_input(crs), ignore_axis_order=True)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("name", GRIDS)
def test_gdal_finds_every_pixel_of_a_nowcast_in_its_place(name: str, suffix: str, tmp_path: Path) -> None:
    grid, path = GRIDS[name], tmp_path / f"x{suffix}"
    forecast = random_forecast(grid)
    write_nowcast(forecast, path)
    assert_placed(path, NAME, forecast[NAME][0, 0], grid.crs)


@pytest.mark.parametrize("name", ["KNMI", "MRMS", "Krovak"])
def test_gdal_finds_every_pixel_of_what_was_cut_out_turned_over_or_is_not_quite_even(
    name: str, tmp_path: Path
) -> None:
    grid = GRIDS[name]
    write_nowcast(random_forecast(grid), tmp_path / "whole.nc")
    whole = open_nowcast(tmp_path / "whole.nc")
    rng = np.random.default_rng(0)
    uneven = {
        axis: whole[axis]
        + rng.uniform(-0.004, 0.004, whole.sizes[axis]) * whole[axis].diff(axis).mean().item()
        for axis in ("x", "y")
    }
    for number, part in enumerate(
        (
            whole.isel(x=slice(7, None), y=slice(3, 20)),
            whole.isel(y=slice(None, None, -1)),
            whole.assign_coords(
                {axis: values.assign_attrs(whole[axis].attrs) for axis, values in uneven.items()}
            ),
        )
    ):
        write_nowcast(part, tmp_path / f"{number}.nc")
        assert_placed(tmp_path / f"{number}.nc", NAME, part[NAME][0, 0], grid.crs)


@pytest.mark.parametrize("name", GRIDS)
def test_gdal_finds_every_pixel_of_an_archive_in_its_place(name: str, tmp_path: Path) -> None:
    grid = GRIDS[name]
    frames = frames_on(grid)
    frames.values[:] = np.random.default_rng(0).random(frames.shape)
    frames.to_dataset().to_netcdf(tmp_path / "in.nc", engine="h5netcdf")
    build_archive(tmp_path / "in.nc", tmp_path / "x.zarr")
    assert_placed(tmp_path / "x.zarr", "rainfall_rate", frames[0], grid.crs)


@pytest.mark.parametrize("suffix", [".nc", ".nc4", ".NC", ".zarr"])
@pytest.mark.parametrize("crs", [KNMI, None])
def test_what_is_written_is_read_again_and_written_again(
    suffix: str, crs: str | None, tmp_path: Path
) -> None:
    forecast = random_forecast(grid_of(crs), paired=True, cell_methods="time: mean", notes="some")
    before = forecast.copy(deep=True)
    write_nowcast(forecast, tmp_path / f"a{suffix}")
    xr.testing.assert_identical(forecast, before)
    first = open_nowcast(tmp_path / f"a{suffix}")
    xr.testing.assert_identical(first.drop_vars(["lat", "lon"], errors="ignore"), forecast)
    for other in (f"b{suffix}", "c.nc", "d.zarr"):
        write_nowcast(first, tmp_path / other)
        xr.testing.assert_identical(open_nowcast(tmp_path / other), first)
    write_nowcast(first, tmp_path / f"a{suffix}")
    xr.testing.assert_identical(open_nowcast(tmp_path / f"a{suffix}"), open_nowcast(tmp_path / "c.nc"))


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize(
    "selection",
    [
        {"y": 3, "x": 4},
        {"y": 3},
        {"y": xr.DataArray([1, 2], dims="station"), "x": xr.DataArray([3, 4], dims="station")},
        {"y": [3], "x": [4]},
        {"member": [1], "lead_time": [2]},
    ],
)
def test_what_is_selected_of_a_nowcast_is_written_with_its_place(
    selection: dict[str, object], suffix: str, tmp_path: Path
) -> None:
    forecast = random_forecast()
    write_nowcast(forecast, tmp_path / "whole.nc")
    for part in (forecast.isel(selection), open_nowcast(tmp_path / "whole.nc").isel(selection)):
        write_nowcast(part, tmp_path / f"x{suffix}")
        stored = open_nowcast(tmp_path / f"x{suffix}")
        np.testing.assert_array_equal(stored[NAME], part[NAME])
        expected = open_nowcast(tmp_path / "whole.nc").isel(selection)
        for name in ("lat", "lon", "x", "y"):
            np.testing.assert_allclose(stored[name], expected[name], atol=1e-5)


def test_a_chunk_of_a_store_is_one_map(tmp_path: Path) -> None:
    forecast = random_forecast()
    write_nowcast(forecast, tmp_path / "x.zarr")
    with open_nowcast(tmp_path / "x.zarr") as found:
        assert found[NAME].encoding["chunks"] == (1, 1, 30, 40)
    write_nowcast(forecast.isel(y=3), tmp_path / "row.zarr")  # without maps, all is one
    with open_nowcast(tmp_path / "row.zarr") as found:
        assert found[NAME].encoding["chunks"] == (4, 3, 40)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_variables_of_others_are_kept_and_places_may_be_missing(suffix: str, tmp_path: Path) -> None:
    forecast = random_forecast()
    further = forecast.assign(height=(("y", "x"), np.ones((30, 40))), name=("member", list("abcd")))
    for dataset in (
        further,
        forecast.drop_vars(["x", "y"]),
        forecast.drop_vars("crs"),
        forecast.mean(["y", "x"]),
    ):
        write_nowcast(dataset, tmp_path / f"x{suffix}")
        stored = open_nowcast(tmp_path / f"x{suffix}")
        for name in dataset.data_vars:
            np.testing.assert_array_equal(stored[name], dataset[name])


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_what_is_no_nowcast_or_fits_no_format_is_refused_by_this_package(suffix: str, tmp_path: Path) -> None:
    forecast, path = random_forecast(), tmp_path / f"x{suffix}"
    for dataset in (
        forecast.isel(member=0),
        forecast.drop_vars(NAME),
        forecast.mean("lead_time"),
        xr.Dataset(),
    ):
        with pytest.raises(ObservationError, match="with members and lead times"):
            write_nowcast(dataset, path)
    for dataset in (forecast.assign(a=("member", [{}] * 4)), forecast.assign_attrs(a=object())):
        with pytest.raises(OutputError, match=f"expected what {suffix} can hold"):
            write_nowcast(dataset, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.tif", "-", "x", "x.cdf", "x.h5", ".nc", "x.zarr.zip"])
def test_a_name_of_another_format_is_refused_with_the_list_of_those_written(
    name: str, tmp_path: Path
) -> None:
    for refuse in (check_nowcast_output, lambda path: write_nowcast(random_forecast(), path)):
        with pytest.raises(OutputError, match=r"expected a name ending in \.nc, \.nc4, \.zarr"):
            refuse(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_store_replaces_a_store_and_no_other_folder(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    write_nowcast(random_forecast(members=4), path)
    check_nowcast_output(path)
    write_nowcast(random_forecast(members=2), path)
    assert open_nowcast(path).sizes["member"] == 2
    other = tmp_path / "other.zarr"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    for refuse in (check_nowcast_output, lambda path: write_nowcast(random_forecast(), path)):
        with pytest.raises(OutputError, match="another folder"):
            refuse(other)
    assert [file.read_text() for file in other.iterdir()] == ["years of work"]


def test_the_same_forecast_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nc", "b.nc"):
        write_nowcast(random_forecast(paired=True, cell_methods="time: mean"), tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_rates_hold_over_what_those_observed_hold_over() -> None:
    mean, point, unknown = (
        random_forecast(**({"cell_methods": said} if said else {}))
        for said in ("time: mean", "time: point", None)
    )
    assert mean[NAME].attrs["cell_methods"] == "lead_time: mean"
    bounds = mean[mean["lead_time"].attrs["bounds"]]
    np.testing.assert_array_equal(bounds[:, 1], mean["lead_time"])
    np.testing.assert_array_equal(bounds[:, 1] - bounds[:, 0], np.full(3, STEP))
    assert point[NAME].attrs["cell_methods"] == "lead_time: point"
    assert "cell_methods" not in unknown[NAME].attrs
    for forecast in (point, unknown):
        assert "bounds" not in forecast["lead_time"].attrs
        assert list(forecast.data_vars) == [NAME]


def test_a_forecast_says_what_it_came_from() -> None:
    attributes = random_forecast(
        product="KNMI composite",
        source_files=["a.h5", "b.h5"],
        frames_interpolated="2010-08-26T03:05",
        notes="rounding noise set dry",
    ).attrs
    for part in (
        "command",
        "model",
        "KNMI composite",
        "2010-08-26T03:00:00Z",
        "2010-08-26T03:15:00Z",
        "a.h5, b.h5",
    ):
        assert part in attributes["history"]
    assert attributes["input_notes"] == "frames interpolated: 2010-08-26T03:05; rounding noise set dry"
    assert "input_notes" not in random_forecast().attrs


def test_members_of_opposite_noise_are_told_of_as_pairs() -> None:
    pairs = random_forecast(members=5, paired=True)["noise_pair"]
    np.testing.assert_array_equal(pairs, [0, 0, 1, 1, 2])
    assert pairs.dims == ("member",)
    assert "independent" in pairs.attrs["long_name"]
    assert "noise_pair" not in random_forecast().coords


@pytest.mark.parametrize("said", ["time: mean", "time: point"])
@pytest.mark.parametrize("name", ["KNMI", "Web Mercator"])
def test_nowcasts_conform_to_cf_on_any_projection(name: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    write_nowcast(random_forecast(GRIDS[name], paired=True, cell_methods=said, notes="some"), path)
    checked = subprocess.run(
        [CHECKER, "--test=cf:1.11", "--criteria=strict", path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_products_of_an_ensemble_are_described_as_what_they_are() -> None:
    forecast = random_forecast(cell_methods="time: mean")
    probability = forecast.ssldm.exceedance_probability(1.0)
    assert probability.attrs.keys() == {"units", "long_name", "grid_mapping"}
    assert probability.attrs["units"] == "1"
    rate, mean = forecast[NAME].attrs, forecast.ssldm.mean().attrs
    assert mean == rate | {"cell_methods": "lead_time: mean realization: mean"}
    assert random_forecast().ssldm.mean().attrs["cell_methods"] == "realization: mean"
    for other in (xr.Dataset({"a": 1}), forecast.isel(member=0)):
        with pytest.raises(ObservationError, match="with members and lead times"):
            other.ssldm.mean()
