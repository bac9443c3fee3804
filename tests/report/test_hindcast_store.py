"""A store of hindcasts holds what single nowcasts would, however it came about."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from radar_files import write_knmi
from storm_models import untrained_storm_model
from test_cli import ssldm as command
from test_cluster import killing

import ssldm
from ssldm.atomic import offering_folder
from ssldm.errors import ConfigurationError, ObservationError, OutputError
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.radar.archive import open_archive
from ssldm.radar.archive_build import build_archive
from ssldm.radar.simulation import simulate
from ssldm.report.cluster import Cluster, on_cluster
from ssldm.report.contestants import EnsembleSettings
from ssldm.report.hindcast_plan import HindcastPlan, Start, hindcast_plan, starts_by_group
from ssldm.report.hindcast_store import lay_out, make_hindcasts, make_start
from ssldm.report.work import Item, Result

SETTINGS = EnsembleSettings(members=4, seed=7)
EVERY = 4


@pytest.fixture(scope="module")
def archives(storm_archive: Callable[[int], Path]) -> list[Path]:
    return [storm_archive(2), storm_archive(1)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Nowcaster(untrained_storm_model(4), "tiny").save_pretrained(folder)
    return folder


def here(task: Callable[[Item], Result], items: list[Item]) -> Iterator[tuple[Item, Result]]:
    for item in items:
        yield item, task(item)


def prepared(plan: HindcastPlan) -> list[Start]:
    series = plan.series()
    groups = starts_by_group(plan, series)
    lay_out(plan, series, groups)
    return [start for starts in groups.values() for start in starts]


def made(plan: HindcastPlan) -> Path:
    assert len(list(make_hindcasts(plan, prepared(plan), here))) > 1
    return plan.out


def contents(store: Path) -> dict[Path, bytes]:
    return {path.relative_to(store): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def shards(store: Path) -> dict[str, int]:
    """When the files of rain rates were written."""
    rates = store / "precipitation_rate" / "c"
    return {
        str(path.relative_to(rates)): path.stat().st_mtime_ns for path in rates.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def plan_to(archives: list[Path], model: Path) -> Callable[[Path], HindcastPlan]:
    """A plan for two storms, the later archive first."""
    return lambda out: hindcast_plan(
        [str(path) for path in archives], str(model), SETTINGS, out, lead_frames=3, every=EVERY
    )


@pytest.fixture(scope="module")
def store(plan_to: Callable[[Path], HindcastPlan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(plan_to(tmp_path_factory.mktemp("store") / "h.zarr"))


def options(archives: list[Path], model: Path, out: Path) -> list[str]:
    return ["hindcast", *(f"--data={path}" for path in archives), f"--out={out}", f"--model={model}",
            "--members=4", "--lead-frames=3", f"--every={EVERY}", "--seed=7", "--workers=1"]  # fmt: skip


def test_a_start_holds_the_nowcast_of_its_context(archives: list[Path], model: Path, store: Path) -> None:
    hindcasts = xr.open_zarr(store, decode_timedelta=True)
    assert dict(hindcasts["precipitation_rate"].sizes) == {
        "forecast_reference_time": 12, "member": 4, "lead_time": 3, "y": 64, "x": 64,
    }  # fmt: skip
    times = hindcasts["forecast_reference_time"].values
    assert (np.diff(times) > 0).all()
    assert (hindcasts["depends_on"] != 0).all()
    nowcaster = Nowcaster.from_pretrained(model)
    for archive, time_of in ((archives[0], times[-1]), (archives[1], times[1])):
        context = open_archive(archive)[0].sel(time=slice(None, time_of))
        one = hindcasts.sel(forecast_reference_time=time_of)
        expected = nowcaster.nowcast(context, members=4, seed=int(one["seed"])).isel(lead_time=slice(3))
        for name in ("precipitation_rate", "valid_time", "lead_time", "noise_pair", "x", "y"):
            np.testing.assert_array_equal(one[name].values, expected[name].values)
        assert one["precipitation_rate"].attrs["units"] == "mm h-1"
        assert one.attrs["source"] == expected.attrs["source"]
    assert len(np.unique(hindcasts["seed"].values)) == 12


def test_a_start_is_a_nowcast_for_all_commands(archives: list[Path], store: Path, tmp_path: Path) -> None:
    hindcasts = xr.open_zarr(store, decode_timedelta=True)
    selected = hindcasts.isel(forecast_reference_time=1)
    for name in ("one.nc", "one.zarr"):
        ssldm.write_nowcast(selected, tmp_path / name)
        opened = ssldm.open_nowcast(tmp_path / name)
        np.testing.assert_array_equal(opened["precipitation_rate"], selected["precipitation_rate"])
    one = tmp_path / "one.nc"
    done = command("products", one, "--out", tmp_path / "products")
    assert done.returncode == 0, done.stderr
    assert command("plot", one, "--out", tmp_path / "one.png").returncode == 0
    done = command(
        "verify", "--data", archives[1], "--model=none", "--baselines=persistence", "--lead-frames=3",
        "--size=0", f"--every={EVERY}", f"--forecast=theirs={one}", "--thresholds=default", "--workers=1",
        "--out", tmp_path / "report", "--part=1/1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 of 1 windows" in done.stdout
    with pytest.raises(ObservationError, match="expected one forecast, found hindcasts of 12 starts"):
        ssldm.open_nowcast(store)
    with pytest.raises(OutputError):
        ssldm.write_nowcast(selected, store)


def test_what_was_made_before_a_kill_is_not_made_again(
    archives: list[Path], model: Path, plan_to: Callable[[Path], HindcastPlan], store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "h.zarr"
    asked = [sys.executable, "-m", "ssldm", *options(archives, model, out)]
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    marks = out / "depends_on" / "c"
    while not (marks.is_dir() and len(list(marks.iterdir())) > 1):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.0)  # its worker notices and ends
    finished = {f"{mark.name}/0/0/0/0" for mark in marks.iterdir()}
    before = {name: written for name, written in shards(out).items() if name in finished}
    made(plan_to(out))
    assert before == {name: written for name, written in shards(out).items() if name in before}
    assert contents(out) == contents(store)


def test_parts_make_the_store_of_one_command(
    archives: list[Path], model: Path, plan_to: Callable[[Path], HindcastPlan], store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "h.zarr"
    done = command(*options(archives, model, out), "--part", "1/2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: part 1/2, 6 of 12 forecasts, 4 members\n"
    plan = plan_to(out)
    half = shards(out)
    assert len(half) == 6
    assert len(list(make_hindcasts(plan, prepared(plan)[1::2], here))) == 6
    assert half.items() <= shards(out).items()
    assert contents(out) == contents(store)
    assert list(tmp_path.iterdir()) == [out]


def test_a_cluster_makes_the_same_store_although_a_worker_dies(
    plan_to: Callable[[Path], HindcastPlan], store: Path, tmp_path: Path
) -> None:
    plan = plan_to(tmp_path / "h.zarr")
    starts = prepared(plan)
    work = partial(on_cluster, cluster=Cluster(workers=2))
    done = list(killing(after=(1,))(make_hindcasts(plan, starts, work), len(starts)))
    assert {start.name for start, _ in done} == {start.name for start in starts}
    assert contents(plan.out) == contents(store)


def test_what_cannot_be_made_is_listed_and_the_rest_is_made(
    storm_archive: Callable[[int], Path], model: Path, tmp_path: Path
) -> None:
    archive = storm_archive(3)
    zarr.open_group(archive, mode="r+")["rainfall_rate"][EVERY : 2 * EVERY] = np.nan
    out = tmp_path / "h.zarr"
    done = command(*options([archive], model, out))
    assert done.returncode == 2
    assert "1 of 6 cannot be done: 2021-05-04T03:10: " in done.stderr
    hindcasts = xr.open_zarr(out, decode_timedelta=True)
    assert list(hindcasts["depends_on"].values == 0) == [False, True, False, False, False, False]


def test_what_depends_on_something_else_is_made_anew(
    plan_to: Callable[[Path], HindcastPlan], model: Path, tmp_path: Path
) -> None:
    plan = plan_to(tmp_path / "h.zarr")
    made(plan)
    first, written = contents(plan.out), shards(plan.out)
    made(plan)
    assert shards(plan.out) == written
    other = replace(plan, model=replace(plan.model, settings=replace(SETTINGS, seed=8)))
    with pytest.raises(OutputError, match="expected nothing there, or hindcasts of the same starts"):
        prepared(replace(other, lead_frames=2))
    made(other)
    assert shards(plan.out).keys() == written.keys()
    assert not set(shards(plan.out).items()) & set(written.items())
    made(plan)
    assert contents(plan.out) == first


def test_a_half_written_forecast_is_made_again(
    plan_to: Callable[[Path], HindcastPlan], tmp_path: Path
) -> None:
    plan = plan_to(tmp_path / "h.zarr")
    start = prepared(plan)[2]
    make_start(plan, start)
    whole = contents(plan.out)
    group = zarr.open_group(plan.out, mode="r+")
    group["depends_on"][2] = 0
    group["precipitation_rate"][2, :1] = 3.0
    assert contents(plan.out) != whole
    make_start(plan, start)
    assert contents(plan.out) == whole


def test_series_of_other_grids_have_a_group_each(
    archives: list[Path], model: Path, plan_to: Callable[[Path], HindcastPlan], tmp_path: Path
) -> None:
    small = tmp_path / "small.zarr"
    for i, values in enumerate((simulate(5, (32, 32), seed=2).values * 100 / 12).round()):
        write_knmi(tmp_path, f"2010-08-26T03:{5 * i:02}", values)
    build_archive([str(tmp_path)], small)
    out = tmp_path / "h.zarr"
    plan = replace(plan_to(out), archives=(str(archives[0]), str(small)), every=1)
    groups = starts_by_group(plan, plan.series())
    assert [len(starts) for starts in groups.values()] == [21, 2]
    lay_out(plan, plan.series(), groups)
    name = list(groups)[1]
    make_start(plan, groups[name][1])
    hindcasts = xr.open_zarr(out, group=name, decode_timedelta=True)
    assert dict(hindcasts.sizes) | {"y": 32, "x": 32, "forecast_reference_time": 2} == dict(hindcasts.sizes)
    assert list(hindcasts["depends_on"].values != 0) == [False, True]
    assert np.isfinite(hindcasts["precipitation_rate"][1]).any()
    ssldm.write_nowcast(hindcasts.isel(forecast_reference_time=1), tmp_path / "one.nc")
    five = np.timedelta64(5, "m")
    bounds = ssldm.open_nowcast(tmp_path / "one.nc")["lead_time_bounds"].values
    np.testing.assert_array_equal(bounds, [[i * five, (i + 1) * five] for i in range(3)])
    twice = plan.series() * 2
    with pytest.raises(ObservationError, match=r"expected each start in one archive, found .* in two"):
        starts_by_group(plan, twice)


def test_wrong_values_are_refused_before_any_work(archives: list[Path], model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at most 4 lead frames, found 5"):
        hindcast_plan([str(archives[0])], str(model), SETTINGS, tmp_path / "h.zarr", lead_frames=5)
    for out, words in (
        (tmp_path / "h.nc", "ending in .zarr"),
        (archives[0], "apart from the input"),
        (archives[0] / "h.zarr", "outside of Zarr stores"),
    ):
        done = command(*options(archives, model, out))
        assert done.returncode == 2
        assert words in done.stderr
    (tmp_path / "h.zarr").mkdir()
    (tmp_path / "h.zarr" / "letter.txt").write_text("Dear Sir or Madam")
    done = command(*options(archives, model, tmp_path / "h.zarr"))
    assert done.returncode == 2
    assert "expected nothing there" in done.stderr
    assert [path.name for path in (tmp_path / "h.zarr").iterdir()] == ["letter.txt"]


def test_the_first_folder_wins(tmp_path: Path) -> None:
    out, told = tmp_path / "out", []
    with offering_folder(out, told.append) as first:
        (first / "a").write_text("first")
        with offering_folder(out, told.append) as second:
            (second / "a").write_text("second")
    assert (out / "a").read_text() == "second"
    assert told == [first]
    assert list(tmp_path.iterdir()) == [out]
