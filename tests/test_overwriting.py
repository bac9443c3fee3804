"""An output never takes the place of its own input, of an archive, or of what others keep in a folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from forecasts import random_forecast
from test_cli import refused, ssldm

from ssldm.atomic import replacing_folder
from ssldm.errors import OutputError
from ssldm.forecast.dataset import check_nowcast_output, open_nowcast, write_nowcast
from ssldm.plotting import check_picture_output
from ssldm.radar.archive_build import build_simulated


def itself(source: Path) -> Path:
    return source


def by_another_path(source: Path) -> Path:
    (source.parent / "beside").mkdir()
    return source.parent / "beside" / ".." / source.name


def by_a_link(source: Path) -> Path:
    link = source.parent / f"link{source.suffix}"
    link.symlink_to(source.name)
    return link


def by_a_hard_link(source: Path) -> Path:
    link = source.parent / f"hard{source.suffix}"
    link.hardlink_to(source)
    return link


NAMES_OF_ONE_FILE = [itself, by_another_path, by_a_link, by_a_hard_link]


@pytest.mark.parametrize("out_of", NAMES_OF_ONE_FILE)
@pytest.mark.parametrize("named", ["as it is", "as a folder", "by a pattern", "as an address", "in a chain"])
def test_an_output_is_refused_where_it_is_a_source_by_whatever_name(
    named: str, out_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    source = folder / "x.nc"
    source.write_text("observations")
    sources = {
        "as it is": str(source),
        "as a folder": folder,
        "by a pattern": str(tmp_path / "*" / "x.n?"),
        "as an address": f"file://{source}",
        "in a chain": f"zip://*.h5::{source}",
    }
    with pytest.raises(OutputError, match="expected an output apart from the input"):
        check_nowcast_output(out_of(source), ["https://example.org/*.h5", sources[named]])
    assert source.read_text() == "observations"


def test_an_output_is_refused_where_it_holds_a_source(tmp_path: Path) -> None:
    write_nowcast(random_forecast(), tmp_path / "x.zarr")
    for source in (tmp_path / "x.zarr", tmp_path / "x.zarr" / "precipitation_rate"):
        with pytest.raises(OutputError, match="apart from the input"):
            check_nowcast_output(tmp_path / "x.zarr", [source])


def test_an_output_may_lie_beside_its_sources_and_replace_an_earlier_forecast_there(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("observations")
    write_nowcast(random_forecast(), tmp_path / "old.nc")
    for out in ("new.nc", "old.nc", "new.zarr"):
        check_nowcast_output(tmp_path / out, [tmp_path])
        check_nowcast_output(tmp_path / out, [tmp_path / "a.h5", "s3://bucket/x.h5"])


@pytest.mark.parametrize("out_of", NAMES_OF_ONE_FILE)
def test_a_picture_never_replaces_what_it_is_drawn_from(
    out_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    forecast = tmp_path / "n.gif"  # what a file holds does not depend on its name
    write_nowcast(random_forecast(), tmp_path / "n.nc")
    (tmp_path / "n.nc").rename(forecast)
    before = forecast.read_bytes()
    refused(ssldm("plot", forecast, "--out", out_of(forecast)), "apart from the input")
    radar = tmp_path / "RAD091209010000.png"
    radar.write_bytes(b"radar")
    for source in (radar, tmp_path):
        with pytest.raises(OutputError, match="apart from the input"):
            check_picture_output(radar, [forecast, source])
    assert (forecast.read_bytes(), radar.read_bytes()) == (before, b"radar")


def _archive(path: Path) -> None:
    build_simulated(path, 1, 2, (8, 8))


def _strangers_file(path: Path) -> None:
    write_nowcast(random_forecast(), path)
    (path / "thesis.txt").write_text("years of work")


def _strangers_file_below(path: Path) -> None:
    write_nowcast(random_forecast(), path)
    (path / "lead_time" / "thesis.txt").write_text("years of work")


def _strangers_folder(path: Path) -> None:
    write_nowcast(random_forecast(), path)
    (path / "thesis").mkdir()


def _other_store(path: Path) -> None:
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(path, zarr_format=2)


@pytest.mark.parametrize(
    "make", [_archive, _strangers_file, _strangers_file_below, _strangers_folder, _other_store]
)
def test_a_store_replaces_nothing_but_a_forecast(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    make(path)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for refuse in (check_nowcast_output, lambda path: write_nowcast(random_forecast(), path)):
        with pytest.raises(OutputError, match="another folder"):
            refuse(path)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_forecast_in_any_format_of_zarr_and_an_empty_folder_are_replaced(
    zarr_format: int, tmp_path: Path
) -> None:
    random_forecast(members=4).to_zarr(tmp_path / "x.zarr", zarr_format=zarr_format)
    (tmp_path / "y.zarr").mkdir()
    for name in ("x.zarr", "y.zarr"):
        write_nowcast(random_forecast(members=2), tmp_path / name)
        assert open_nowcast(tmp_path / name).sizes["member"] == 2


def test_what_comes_into_a_folder_during_the_work_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.mkdir()

    def work() -> None:
        with replacing_folder(target, lambda folder: not any(folder.iterdir())) as aside:
            (aside / "new").write_text("new")
            (target / "thesis.txt").write_text("years of work")

    with pytest.raises(OutputError, match="another folder"):
        work()
    assert [p.name for p in tmp_path.rglob("*")] == ["x", "thesis.txt"]


@pytest.mark.parametrize("name", ["n.nc", "n.zarr"])
def test_nothing_is_written_into_a_store(name: str, tmp_path: Path) -> None:
    _archive(tmp_path / "a.zarr")
    before = sorted((tmp_path / "a.zarr").rglob("*"))
    out = tmp_path / "a.zarr" / "sub" / name
    for refuse in (check_nowcast_output, lambda path: write_nowcast(random_forecast(), path)):
        with pytest.raises(OutputError, match="outside of Zarr stores"):
            refuse(out)
    with pytest.raises(OutputError, match="outside of Zarr stores"):
        check_picture_output(out.with_suffix(".png"))
    assert sorted((tmp_path / "a.zarr").rglob("*")) == before


@pytest.mark.parametrize("name", ["x.nc", "x.h5", "x.tif", "x.zarr.zip", "x.Nc4"])
def test_an_archive_never_has_the_name_of_a_file(name: str, tmp_path: Path) -> None:
    source = tmp_path / "in.h5"
    source.write_text("")
    refused(ssldm("archive", "build", source, tmp_path / name), "ending in .zarr")
    refused(ssldm("archive", "simulate", tmp_path / name, "--events", 1), "ending in .zarr")
    assert os.listdir(tmp_path) == ["in.h5"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["x.zarr", "x", "x.ZARR", "storms-1.5"])
def test_an_archive_has_a_name_of_zarr_or_of_no_kind(name: str, tmp_path: Path) -> None:
    _archive(tmp_path / name)
    assert (tmp_path / name).is_dir()
