"""Reports: the same however they came about, nothing made twice, files as contestants."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from radar_files import write_knmi

import ssldm
from ssldm.errors import ConfigurationError, ObservationError
from ssldm.forecast.dataset import nowcast_dataset, open_nowcast, write_nowcast
from ssldm.radar.archive import open_archive
from ssldm.radar.archive_build import build_archive
from ssldm.radar.observations import time_step
from ssldm.radar.simulation import simulate
from ssldm.report.contestants import Contestant, EnsembleSettings, Forecaster, baseline
from ssldm.report.evaluate import evaluate
from ssldm.report.forecast_files import FileContestant
from ssldm.report.hindcasts import Worker
from ssldm.report.preparation import Report, Selection, plan_of, prepare
from ssldm.report.statistics_file import read_statistics
from ssldm.report.work import in_processes
from ssldm.verification.case import Case
from ssldm.verification.crps import crps_sums
from ssldm.verification.ensemble import error_sums
from ssldm.verification.perceptual import Perceptual
from ssldm.verification.windows import Window, windows

SETTINGS = EnsembleSettings(members=3, seed=1)
CONTESTANTS = tuple(baseline(name, SETTINGS) for name in ("persistence", "extrapolation", "steps"))
SELECTION = Selection(size=64, thresholds="default")


def report_of(
    archives: list[Path], out: Path, contestants: tuple[Contestant, ...] = CONTESTANTS, **selection: object
) -> Report:
    plan = plan_of(archives, contestants, out, lead_frames=4)
    return prepare(
        plan, Selection(**{"size": 64, "thresholds": "default", **selection}), reference=None, command="made"
    )


def silently(items: object, _: int) -> object:
    return items


def made(report: Report, workers: int = 1) -> pd.DataFrame:
    return evaluate(report, work=partial(in_processes, workers=workers), progress=silently)


@pytest.fixture(scope="module")
def archives(storm_archive: Callable[[int], Path]) -> list[Path]:
    return [storm_archive(1), storm_archive(2)]


@pytest.fixture(scope="module")
def finished(archives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Report:
    report = report_of(archives, tmp_path_factory.mktemp("finished"))
    made(report)
    return report


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in ("scores.csv", "windows.csv", "index.html")}


def test_a_report_has_scores_figures_and_a_page_by_itself(finished: Report) -> None:
    out = finished.plan.out
    assert {path.name for path in out.iterdir()} == {
        "scores.csv", "scores.nc", "windows.csv", "index.html", "headline.md",
        "figures", "hindcasts", "statistics",
    }  # fmt: skip
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == len(list((out / "figures").iterdir())) == 8
    assert not any(text in page for text in ('src="http', 'src="/', "<script"))
    assert "only 2 events" in page
    looks = page[page.index('id="looks"') : page.index('id="lead-time"')]
    assert looks.count("<th>observed</th>") == 1
    for look in ("objects a wet pixel", "area of objects, pixels", "elongation of objects", "coherence"):
        assert [f"<td>{look}, {minutes} min</td>" in looks for minutes in (5, 10, 15, 20)] == [True] * 4
    lines = (out / "headline.md").read_text().splitlines()
    assert lines[:3] == ["```bash", "made", "```"]
    table_lines = [line for line in lines if line.startswith("|")]
    assert table_lines[0] == "|  | persistence | extrapolation | steps |"
    assert all(line.count("|") == 5 for line in table_lines)
    table = pd.read_csv(out / "scores.csv")
    assert set(table["contestant"]) == {"persistence", "extrapolation", "steps"}
    assert set(table["events"]) == {2}
    crps = table[(table["metric"] == "crps") & (table["scale"] == 1) & (table["lead_frame"] == 0)]
    assert (crps["lower"] <= crps["value"]).all()
    assert (crps["value"] <= crps["upper"]).all()
    tree = xr.open_datatree(out / "scores.nc", engine="h5netcdf")
    stored = tree["steps"]["crps"].sel(pool=1, estimate="value").isel(lead_frame=0)
    assert float(stored) == pytest.approx(crps.set_index("contestant")["value"]["steps"])
    assert tree["steps/statistics"].sizes["event"] == 2
    assert len(pd.read_csv(out / "windows.csv")) == 3 * len(finished.windows)


def test_two_workers_make_the_same_report_as_one(
    finished: Report, archives: list[Path], tmp_path: Path
) -> None:
    made(report_of(archives, tmp_path), workers=2)
    assert results(tmp_path) == results(finished.plan.out)


def test_what_is_lost_is_made_again_and_the_same(
    finished: Report, archives: list[Path], tmp_path: Path
) -> None:
    report = report_of(archives, tmp_path)
    worker, first = Worker(report.plan), report.windows[0]
    worker.process(first)
    assert [worker.is_done(window) for window in report.windows[:2]] == [True, False]
    report.plan.statistics_path(first).write_bytes(b"cut short")
    report.plan.hindcast_path(CONTESTANTS[0], first).unlink()
    report.plan.hindcast_path(CONTESTANTS[2], first).write_bytes(b"cut short")
    assert not worker.is_done(first)
    worker.process(first)
    again = read_statistics(report.plan.statistics_path(first))
    for name, part in read_statistics(finished.plan.statistics_path(first)).items():
        xr.testing.assert_identical(again[name], part)


@dataclass(frozen=True)
class Counting:
    """Persistence that counts how often it forecasts, and notes a line for each."""

    log: Path
    version: int = 0
    name: str = "counting"
    kept: bool = True
    frames: None = None

    def identity(self) -> dict[str, str | int]:
        return {"version": self.version}

    def load(self) -> Forecaster:
        def forecast(context: xr.DataArray, lead_frames: int) -> xr.Dataset:
            with self.log.open("a") as log:
                log.write("made\n")
            rate = np.repeat(context.values[-1:], lead_frames, axis=0)[None]
            return nowcast_dataset(rate, context, time_step(context), source="", seed=0, settings="")

        return forecast

    def count(self) -> int:
        return len(self.log.read_text().splitlines())


def test_forecasts_are_made_once_unless_something_changed(archives: list[Path], tmp_path: Path) -> None:
    counting = Counting(tmp_path / "log")
    out = tmp_path / "report"

    def process(contestant: Counting, source: list[Path], protocol: str = "default") -> int:
        report = report_of(source, out, (contestant, CONTESTANTS[0]), thresholds=protocol)
        worker = Worker(report.plan)
        before = counting.count() if counting.log.exists() else 0
        for window in report.windows:
            if not worker.is_done(window):
                worker.process(window)
        return counting.count() - before

    number = len(report_of(archives[:1], out).windows)
    assert process(counting, archives[:1]) == number > 1
    assert process(counting, archives[:1]) == 0
    assert process(counting, archives[:1], "hko7") == 0  # other scores of the same forecasts
    assert process(Counting(counting.log, version=1), archives[:1]) == number
    assert process(Counting(counting.log, version=1), archives) == number  # the second archive's only


def forecasts_of(
    archive: Path, folder: Path, shift: int = 0, members: int = 1, place: str | None = None
) -> list[Window]:
    """Persistence of whole domains in files, as a service would have them."""
    series = open_archive(archive)
    found = windows(series, frames=8)
    for number, window in enumerate(found):
        context = window.of(series, 8)[:4].load()
        context = context.assign_coords(time=context["time"] + np.timedelta64(shift, "m"))
        rate = np.repeat(context.values[-1:], 6, axis=0)[None].repeat(members, axis=0)
        dataset = nowcast_dataset(rate, context, time_step(context), source="them", seed=0, settings="")
        dataset.attrs["place"] = place or context.attrs["place"]
        write_nowcast(dataset, folder / archive.name / f"{number}.nc")
    return found


def test_forecasts_in_files_are_contestants(archives: list[Path], tmp_path: Path) -> None:
    forecasts_of(archives[0], tmp_path)
    theirs = FileContestant.matching("theirs", f"{tmp_path}/**/*.nc")
    report = report_of(archives, tmp_path / "report", (CONTESTANTS[0], theirs), size=32)
    assert {window.series for window in report.windows} == {0}  # there are none of the second archive
    assert len({(w.rows, w.columns) for w in report.windows}) == 4  # tiles of whole domains
    table = made(report).set_index(["contestant", "lead_frame", "metric", "threshold", "scale", "bin"])
    pd.testing.assert_series_equal(table.loc["theirs", "value"], table.loc["persistence", "value"])
    assert not (tmp_path / "report" / "hindcasts" / "theirs").exists()


def test_members_of_forecasts_in_files_are_independent_but_for_the_pairs_that_they_name(
    archives: list[Path], tmp_path: Path
) -> None:
    forecasts_of(archives[0], tmp_path / "alone", members=4)
    order = [2, 0, 3, 1]
    for path in sorted((tmp_path / "alone").glob("**/*.nc")):
        dataset = open_nowcast(path).load()
        noise = np.random.default_rng(0).gamma(0.5, 2.0, dataset["precipitation_rate"].shape)
        alone = dataset.assign(precipitation_rate=dataset["precipitation_rate"] + noise.astype(np.float32))
        paired = alone.assign_coords(noise_pair=("member", np.arange(4, dtype=np.int32) // 2))
        for kind, part in (("alone", alone), ("paired", paired), ("shuffled", paired.isel(member=order))):
            write_nowcast(part, tmp_path / kind / f"{path.name}")
        path.unlink()
    kinds = ("alone", "paired", "shuffled")
    files = [FileContestant.matching(kind, f"{tmp_path}/{kind}/*.nc") for kind in kinds]
    report = report_of(archives[:1], tmp_path / "report", tuple(files))
    window = report.windows[0]
    Worker(report.plan).process(window)
    found = read_statistics(report.plan.statistics_path(window))
    data = window.of(report.plan.series(), 8).load()
    (rate,) = [
        dataset["precipitation_rate"].values[:, :4]
        for dataset in map(open_nowcast, sorted((tmp_path / "alone").glob("*.nc")))
        if dataset["forecast_reference_time"].values == data["time"].values[3]
    ]
    for kind, groups in zip(kinds, ([0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 1, 1]), strict=True):
        case = Case.of(rate, data.values[4:], groups=np.array(groups))
        for name, sums in (("crps", crps_sums(case, (1, 4, 16))), ("error", error_sums(case))):
            xr.testing.assert_allclose(found[kind][name], sums)
    assert not np.allclose(found["alone"]["error"], found["paired"]["error"])


def matched(archive: Path, folder: Path, lead_frames: int = 4) -> list[Window]:
    theirs = FileContestant.matching("theirs", f"{folder}/**/*.nc")
    plan = plan_of([archive], (CONTESTANTS[0], theirs), folder / "report", lead_frames=lead_frames)
    return list(prepare(plan, SELECTION, reference=None, command="").windows)


def test_files_whose_times_are_rounded_are_found_all_the_same(archives: list[Path], tmp_path: Path) -> None:
    forecasts_of(archives[0], tmp_path / "exact")
    for path in sorted((tmp_path / "exact").glob("**/*.nc")):
        dataset = open_nowcast(path).load()
        jitter = np.timedelta64(300, "us")
        moved = dataset.assign_coords(
            lead_time=dataset["lead_time"] - jitter,
            forecast_reference_time=dataset["forecast_reference_time"] + jitter,
        )
        moved.to_netcdf(tmp_path / path.name, engine="h5netcdf")
        path.unlink()
    assert len(matched(archives[0], tmp_path)) > 0


def test_files_of_another_place_or_without_one_are_not_taken(archives: list[Path], tmp_path: Path) -> None:
    forecasts_of(archives[0], tmp_path / "here")
    assert len(matched(archives[0], tmp_path / "here")) == 3
    forecasts_of(archives[0], tmp_path / "there", place="f9")
    with pytest.raises(ObservationError, match="forecasts of theirs"):
        matched(archives[0], tmp_path / "there")
    shutil.copytree(tmp_path / "here" / archives[0].name, tmp_path / "here" / "again")
    with pytest.raises(ObservationError, match="expected one forecast"):
        matched(archives[0], tmp_path / "here")
    for path in (tmp_path / "there").glob("**/*.nc"):
        with h5py.File(path, "a") as file:
            del file.attrs["place"]
    with pytest.raises(ObservationError, match="expected an attribute place"):
        matched(archives[0], tmp_path / "there")


def test_files_that_are_no_ensemble_of_one_kind_are_refused(archives: list[Path], tmp_path: Path) -> None:
    forecasts_of(archives[0], tmp_path / "short")
    with pytest.raises(ObservationError, match="for 9 lead times"):
        matched(archives[0], tmp_path / "short", lead_frames=9)
    forecasts_of(archives[0], tmp_path / "mixed", members=2)
    forecasts_of(archives[1], tmp_path / "mixed", members=3)
    with pytest.raises(ObservationError, match="one number of members"):
        matched(archives[0], tmp_path / "mixed")
    forecasts_of(archives[0], tmp_path / "timeless")
    (first, *_) = sorted((tmp_path / "timeless").glob("**/*.nc"))
    with h5py.File(first, "a") as file:
        del file["forecast_reference_time"]
    with pytest.raises(ObservationError, match="one forecast_reference_time"):
        matched(archives[0], tmp_path / "timeless")


def test_rates_below_zero_are_refused(archives: list[Path], tmp_path: Path) -> None:
    forecasts_of(archives[0], tmp_path)
    for path in tmp_path.glob("**/*.nc"):
        with h5py.File(path, "a") as file:
            file["precipitation_rate"][...] = -1.0
    theirs = FileContestant.matching("theirs", f"{tmp_path}/**/*.nc")
    report = report_of(archives[:1], tmp_path / "report", (CONTESTANTS[0], theirs))
    with pytest.raises(ObservationError, match="theirs: expected rain rates from 0"):
        Worker(report.plan).process(report.windows[0])


def test_one_report_has_one_time_step(archives: list[Path], tmp_path: Path) -> None:
    (tmp_path / "slow").mkdir()
    for i, frame in enumerate(simulate(9, (64, 64), seed=3).values):
        time = np.datetime64("2010-08-26T03:00") + i * np.timedelta64(10, "m")
        write_knmi(tmp_path / "slow", str(time), (frame * 100 / 12).round())
    build_archive([str(tmp_path / "slow")], tmp_path / "ten.zarr")
    with pytest.raises(ObservationError, match="one time step, found 5 min, 10 min"):
        report_of([archives[0], tmp_path / "ten.zarr"], tmp_path / "report")


def test_files_that_do_not_fit_are_refused(archives: list[Path], tmp_path: Path) -> None:
    forecasts_of(archives[0], tmp_path, shift=1)
    theirs = FileContestant.matching("theirs", f"{tmp_path}/**/*.nc")
    with pytest.raises(ObservationError, match="forecasts of theirs"):
        report_of(archives, tmp_path / "report", (CONTESTANTS[0], theirs), size=32)
    with pytest.raises(ObservationError, match="no file that matches"):
        FileContestant.matching("theirs", str(tmp_path / "none*.nc"))


def test_perceptual_scores_where_their_networks_are(
    archives: list[Path], networks: Perceptual, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="FVD needs 10 lead frames, found 4"):
        plan_of(archives, CONTESTANTS, tmp_path, lead_frames=4, perceptual=networks)
    plan = plan_of(archives, CONTESTANTS[:2], tmp_path, lead_frames=10, perceptual=networks)
    table = made(prepare(plan, SELECTION, reference=None, command=""))
    assert "LPIPS" in (tmp_path / "index.html").read_text()
    distances = table[(table["metric"] == "fvd") & table["value"].notna()]
    assert list(distances["lead_frame"]) == [0, 0]
    assert (distances["value"] > 0).all()
    assert table[table["metric"] == "lpips"]["value"].notna().all()


def test_plans_are_checked(archives: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="found -"):
        plan_of(archives, (), tmp_path)
    with pytest.raises(ConfigurationError, match="different names"):
        plan_of(archives, (CONTESTANTS[0], CONTESTANTS[0]), tmp_path)
    with pytest.raises(ConfigurationError, match="different archives"):
        plan_of([archives[0], archives[0]], CONTESTANTS, tmp_path)
    with pytest.raises(ConfigurationError, match="at least 16 pixels"):
        prepare(plan_of(archives, CONTESTANTS, tmp_path), Selection(size=8), reference=None, command="")
    with pytest.raises(ConfigurationError, match="letters, digits"):
        plan_of(archives, (FileContestant("../up", ()),), tmp_path)
    plan = plan_of(archives, CONTESTANTS, tmp_path)
    assert (plan.context_frames, plan.lead_frames) == (4, 16)
    with pytest.raises(ConfigurationError, match="as reference"):
        prepare(plan, SELECTION, reference="none", command="")


def test_at_most_so_many_windows_are_spread_over_all(archives: list[Path], tmp_path: Path) -> None:
    everything = report_of(archives, tmp_path).windows
    some = report_of(archives, tmp_path, at_most=3).windows
    assert len(some) == 3
    assert (some[0], some[-1]) == (everything[0], everything[-1])


def test_the_worst_process_death_leaves_one_that_goes_on(
    finished: Report, archives: list[Path], tmp_path: Path
) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom test_report import made, report_of\n"
        "if __name__ == '__main__':\n"
        "    made(report_of([Path(p) for p in sys.argv[2:]], Path(sys.argv[1])), workers=2)\n"
    )
    (tmp_path / "run.py").write_text(script)
    out = tmp_path / "report"
    # With the package that is under test, which need not be the installed one.
    folders = Path(__file__).parent, Path(__file__).parents[1], Path(ssldm.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    process = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", out, *archives], env=environment, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("statistics/[!.]*.npz"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    report = report_of(archives, out)
    done = [window for window in report.windows if Worker(report.plan).is_done(window)]
    assert 2 <= len(done) < len(report.windows)
    made(report)
    assert results(out) == results(finished.plan.out)
