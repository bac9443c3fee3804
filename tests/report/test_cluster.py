"""A cluster makes the report that one process makes, whatever becomes of its workers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import xarray as xr
from test_cli import ssldm as command

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.report.cluster import Cluster, on_cluster
from ssldm.report.contestants import Contestant, EnsembleSettings, Forecaster, baseline
from ssldm.report.evaluate import evaluate
from ssldm.report.preparation import Progress, Report, Selection, plan_of, prepare
from ssldm.report.work import Work, in_processes

CONTESTANTS = tuple(baseline(name, EnsembleSettings(seed=1)) for name in ("persistence", "extrapolation"))
FILES = ("scores.csv", "windows.csv", "index.html")


def report_of(archives: list[Path], out: Path, contestants: tuple[Contestant, ...] = CONTESTANTS) -> Report:
    plan = plan_of(archives, contestants, out, lead_frames=4)
    selection = Selection(size=64, every=1, thresholds="default")
    return prepare(plan, selection, reference=None, command="made")


def made(report: Report, work: Work, progress: Progress = lambda items, _: items) -> dict[str, bytes]:
    evaluate(report, work=work, progress=progress)
    return {name: (report.plan.out / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def archives(storm_archive: Callable[[int], Path]) -> list[Path]:
    return [storm_archive(1), storm_archive(2)]


@pytest.fixture(scope="module")
def expected(archives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    report = report_of(archives, tmp_path_factory.mktemp("expected"))
    return made(report, partial(in_processes, workers=1))


def killing(after: tuple[int, ...]) -> Progress:
    """Kills a worker of this process after some of the windows."""

    def progress(items: Iterable[Any], _: int) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number in after:
                workers = [c for c in psutil.Process().children() if "spawn_main" in " ".join(c.cmdline())]
                workers[0].kill()
            yield item

    return progress


def test_a_cluster_makes_the_same_report_although_workers_die(
    archives: list[Path], expected: dict[str, bytes], tmp_path: Path
) -> None:
    told: list[str] = []
    work = partial(on_cluster, cluster=Cluster(workers=2, on_start=told.append))
    report = report_of(archives, tmp_path)
    assert len(report.windows) > 9
    assert made(report, work, killing(after=(1, 8))) == expected
    assert told[0].startswith("http://")


@dataclass(frozen=True)
class Failing:
    """Fails on some forecasts, wherever it is asked for them."""

    name: str = "failing"
    kept: bool = False
    frames: None = None

    def identity(self) -> dict[str, str | int]:
        return {}

    def load(self) -> Forecaster:
        good = CONTESTANTS[0].load()

        def forecast(context: xr.DataArray, lead_frames: int) -> xr.Dataset:
            if context["time"].dt.minute[0] == 40:
                raise ObservationError("no luck")
            return good(context, lead_frames)

        return forecast


def test_what_cannot_be_done_is_listed_and_the_rest_is_done(archives: list[Path], tmp_path: Path) -> None:
    report = report_of(archives[:1], tmp_path, (Failing(),))
    with pytest.raises(ObservationError, match=r"of \d+ cannot be done: .*no luck"):
        made(report, partial(on_cluster, cluster=Cluster(workers=1)))
    done = [window for window in report.windows if report.plan.statistics_path(window).exists()]
    assert 0 < len(done) < len(report.windows)


def test_no_scheduler_is_told(archives: list[Path], tmp_path: Path) -> None:
    report = report_of(archives[:1], tmp_path)
    with pytest.raises(ConfigurationError, match="expected a scheduler of dask at 'nowhere'"):
        made(report, partial(on_cluster, cluster=Cluster(scheduler="nowhere")))


def test_parts_merge_to_the_report_of_one_command(archives: list[Path], tmp_path: Path) -> None:
    common = ["verify", *(f"--data={path}" for path in archives), "--model=none", "--workers=1",
              "--baselines=persistence", "--size=64", "--lead-frames=4", "--thresholds=default"]  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert command(*common, "--out", whole).returncode == 0
    assert command(*common, "--out", parts, "--part", "1/2").returncode == 0
    assert not (parts / "index.html").exists()
    missing = command(*common, "--out", parts, "--merge")
    assert missing.returncode == 2
    assert "expected all parts to be there, found none of" in missing.stderr
    assert command(*common, "--out", parts, "--part", "2/2").returncode == 0
    assert command(*common, "--out", parts, "--merge").returncode == 0
    for name in ("scores.csv", "windows.csv"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/2/3"])
def test_a_part_is_two_numbers(part: str, tmp_path: Path) -> None:
    done = command("verify", "--data=none.zarr", "--out", tmp_path, "--part", part)
    assert done.returncode == 2
    assert "expected --part like 7/100" in done.stderr
