"""The command line: exit statuses, one line for every failure, nothing half-written."""

import io
import os
import subprocess
import sys
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from radar_files import write_knmi, write_smhi
from test_nowcast import tiny_model

from ssldm.cli import main
from ssldm.forecast.dataset import open_nowcast
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.radar.archive import open_archive
from ssldm.radar.simulation import simulate
from ssldm.verification.table import COLUMNS

COMMAND = [sys.executable, "-m", "ssldm"]


def ssldm(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command, run in this process: importing torch takes longer than most of them."""
    out, err, status = io.StringIO(), io.StringIO(), None
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        try:
            main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    Nowcaster(tiny_model(), "tiny").save_pretrained(folder)
    return folder


@pytest.fixture
def frames(tmp_path: Path) -> list[Path]:
    values = (simulate(4, (64, 64), seed=2).values * 100 / 12).round()
    (tmp_path / "in").mkdir()
    return [write_knmi(tmp_path / "in", f"2010-08-26T03:{5 * i:02}", v) for i, v in enumerate(values)]


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def test_help_is_quick() -> None:
    def run() -> float:
        start = time.monotonic()
        result = subprocess.run(COMMAND, capture_output=True, text=True, check=True)
        assert "Usage: ssldm" in result.stdout
        return time.monotonic() - start

    run()  # compiles what has never been imported
    assert min(run() for _ in range(3)) < 1.0


def test_files_to_forecast_to_picture(frames: list[Path], model: Path, tmp_path: Path) -> None:
    out = tmp_path / "nowcast.nc"
    result = ssldm("nowcast", *frames, "--model", model, "--members", 2, "--steps", 1, "--out", out)
    assert result.returncode == 0, result.stderr
    for suffix in ("gif", "png"):
        picture = tmp_path / f"nowcast.{suffix}"
        result = ssldm("plot", out, "--out", picture, "--observations", tmp_path / "in")
        assert result.returncode == 0, result.stderr
        assert picture.stat().st_size > 10_000
    assert not list(tmp_path.glob("*partial*"))
    refused(ssldm("plot", out, "--out", tmp_path / "nowcast.bmp"), ".gif, .mp4, .png")
    refused(ssldm("plot", frames[0], "--out", tmp_path / "x.gif"), str(frames[0]), "expected")


def test_bad_radar_files_are_refused_in_one_line(frames: list[Path], model: Path, tmp_path: Path) -> None:
    def nowcast(*sources: object) -> subprocess.CompletedProcess[str]:
        return ssldm("nowcast", *sources, "--model", model, "--steps", 1, "--out", tmp_path / "x.nc")

    refused(nowcast(*frames[:3]), "at least 4 frames, found 3")
    refused(nowcast(*frames[:3], tmp_path / "missing.h5"), "missing.h5")
    refused(nowcast(*frames, write_knmi(tmp_path, "2010-08-26T03:25", np.zeros((64, 64)))), "steps of 5, 10")
    refused(nowcast(*frames, write_knmi(tmp_path, "2010-08-26T03:20", np.zeros((64, 60)))), "64×60")
    refused(nowcast(*frames, write_smhi(tmp_path, np.zeros((64, 64, 2), np.uint8))), "one product")
    frames[2].write_bytes(frames[2].read_bytes()[:5000])
    refused(nowcast(*frames), frames[2].name, "damaged or cut short")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear Sir or Madam")
    refused(nowcast(tmp_path / "letters"), "a.txt", "expected one of the formats")
    assert not (tmp_path / "x.nc").exists()


def test_bad_options_are_refused_in_one_line(frames: list[Path], model: Path, tmp_path: Path) -> None:
    rest = ("--out", tmp_path / "x.nc", *frames)
    refused(ssldm("nowcast", "--model", "nonesuch", *rest), "nonesuch")
    refused(ssldm("nowcast", "--members", 0, *rest), "members")
    refused(ssldm("nowcast", "--sampler", "magic", *rest), "magic")
    refused(ssldm("nowcast", "--model", model, "--lead-time", "3h", *rest), "lead time")
    refused(ssldm("nowcast", "--model", model, "--device", "abacus", *rest), "abacus")
    refused(ssldm("nowcast", "--model", model, "--reference-time", "noon", *rest), "noon")
    refused(ssldm("nowcast", "--model", model, "--reference-time", "2010-08-26T03:10", *rest), "found 3")
    refused(ssldm("nowcast", *frames), "--out")
    refused(ssldm("forecast"), "forecast")
    refused(ssldm("archive", "info", tmp_path / "none.zarr"), "none.zarr")


def test_a_growing_folder_is_forecast_in_spite_of_gaps_and_damage(
    frames: list[Path], model: Path, tmp_path: Path
) -> None:
    folder, out = frames[0].parent, tmp_path / "x.nc"
    asked = ("nowcast", folder, "--model", model, "--members", 1, "--steps", 1, "--out", out)
    write_knmi(folder, "2010-08-26T03:20", np.zeros((64, 64)))
    frames[2].unlink()  # 03:10
    (folder / "RAD_NL25_RAP_5min_201008260325.h5").write_bytes(frames[0].read_bytes()[:3000])
    result = ssldm(*asked)
    assert result.returncode == 0, result.stderr
    assert "from 2010-08-26T03:20 UTC" in result.stdout
    assert open_nowcast(out).attrs["source"].startswith("tiny")
    refused(ssldm(*asked, "--strict"), "201008260325", "damaged or cut short")
    (folder / "RAD_NL25_RAP_5min_201008260325.h5").unlink()
    refused(ssldm(*asked, "--strict"), "steps of 5, 10")


def test_frames_of_yesterday_are_no_forecast_for_today(
    frames: list[Path], model: Path, tmp_path: Path
) -> None:
    asked = ("nowcast", *frames, "--model", model, "--members", 1, "--steps", 1, "--out", tmp_path / "x.nc")
    refused(ssldm(*asked, "--reference-time", "2010-08-27T03:15"), "found the newest at 2010-08-26T03:15")
    refused(ssldm(*asked, "--reference-time", "now"), "found the newest at 2010-08-26T03:15")
    assert ssldm(*asked, "--reference-time", "2010-08-26T03:19").returncode == 0
    assert ssldm(*asked, "--reference-time", "2010-08-27T03:15", "--max-age", "1d").returncode == 0
    assert ssldm(*asked, "--zr", "300,1.4", "--max-rate", 50, "--format", "knmi").returncode == 0
    refused(ssldm(*asked, "--zr", "0,1.4"), "Z = a R")
    refused(ssldm(*asked, "--format", "gif"), "one of the formats")


def test_failures_are_told_apart_by_exit_status_where_that_is_asked_for(
    frames: list[Path], model: Path, tmp_path: Path
) -> None:
    def status(*arguments: object) -> int:
        asked = ("nowcast", "--model", model, "--members", 1, "--steps", 1, "--out", tmp_path / "x.nc")
        plain, detailed = ssldm(*asked, *arguments), ssldm("--detailed-exitcode", *asked, *arguments)
        assert plain.returncode == (2 if detailed.returncode else 0)
        assert detailed.stderr == plain.stderr
        return detailed.returncode

    assert status(*frames) == 0
    assert status(*frames, "--members", "few") == 2
    assert status(*frames, "--sampler", "magic") == 2
    assert status(*frames, "--lead-time", "7min") == 2
    assert status(*frames, "--device", "abacus") == 2
    assert status(*frames, "--model", "nonesuch") == 2
    assert status(*frames, "--out", tmp_path / "x.tif") == 2
    assert status(tmp_path / "nowhere") == 3
    assert status(*frames[:3]) == 3
    assert status(*frames, "--reference-time", "2010-08-27") == 3
    frames[1].write_bytes(frames[1].read_bytes()[:3000])
    assert status(*frames) == 4


def test_a_reader_that_goes_away_makes_no_failure(frames: list[Path], model: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.nc"
    command = ["nowcast", *frames, "--model", model, "--members", 1, "--steps", 1, "--out", out]
    process = subprocess.Popen([*COMMAND, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(120) == 0
    assert open_nowcast(out).sizes["member"] == 1


def test_a_forecast_never_replaces_what_it_is_made_from(
    frames: list[Path], model: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.zarr"
    assert ssldm("archive", "build", *frames, archive).returncode == 0
    refused(ssldm("nowcast", archive, "--model", model, "--out", archive), "a.zarr")
    assert open_archive(archive)[0].sizes["time"] == 4


def test_version_and_short_help() -> None:
    assert ssldm("--version").stdout == f"ssldm {version('ssldm')}\n"
    assert "--max-age" in ssldm("nowcast", "-h").stdout


def test_warnings_are_never_errors(frames: list[Path], model: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.nc"
    command = ["nowcast", *frames, "--model", model, "--members", 1, "--steps", 1, "--out", out]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ssldm", *map(str, command)],
        env=os.environ | {"PYTHONWARNINGS": "error"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_options_of_an_archive(frames: list[Path], tmp_path: Path) -> None:
    archive = tmp_path / "a.zarr"
    options = ["--step", 10, "--resolution", 2000, "--format", "knmi", "--attribute", "license=CC0-1.0"]
    assert ssldm("archive", "build", *frames, archive, *options).returncode == 0
    (data,) = open_archive(archive)
    assert data.shape == (2, 32, 32)
    assert data.attrs["license"] == "CC0-1.0"
    picture = tmp_path / "a.png"
    assert ssldm("archive", "info", archive, "--picture", picture).returncode == 0
    assert picture.stat().st_size > 1000
    refused(ssldm("archive", "build", *frames, archive, "--crop", "1,2,3"), "4 numbers for --crop")
    refused(ssldm("archive", "build", *frames, tmp_path / "b.zarr", "--attribute", "x"), "NAME=TEXT", "'x'")
    refused(ssldm("archive", "build", *frames, tmp_path / "b.zarr", "--format", "gif"), "one of the formats")
    refused(ssldm("archive", "build", *frames, tmp_path / "b.zarr", "--crop", "90,0,91,1"), "pixels inside")
    assert not list(tmp_path.glob("b.zarr*"))


def test_simulated_archives_need_no_data(tmp_path: Path) -> None:
    archive = tmp_path / "a.zarr"
    assert ssldm("archive", "simulate", archive, "--events", 2, "--frames", 3, "--size", 32).returncode == 0
    assert open_archive(archive)[0].shape == (6, 32, 32)
    refused(ssldm("archive", "simulate", archive), "expected a new archive")


def test_archives_and_verification(tmp_path: Path, model: Path) -> None:
    values = (simulate(9, (128, 64), seed=2).values * 100 / 12).round()
    (tmp_path / "in").mkdir()
    for i, frame in enumerate(values):
        write_knmi(tmp_path / "in", f"2010-08-26T03:{5 * i:02}", frame)
    archive = tmp_path / "a.zarr"
    assert ssldm("archive", "build", tmp_path / "in", archive).returncode == 0
    refused(ssldm("archive", "build", tmp_path / "in", archive), "a.zarr")
    result = ssldm("archive", "info", archive)
    assert "9 frames every 5 min, 0 gaps (0 frames), 128×64 pixels of 1 km" in result.stdout
    assert "100.0% observed" in result.stdout
    report = tmp_path / "report"
    asked = (
        "verify", "--data", archive, "--model", f"tiny={model}", "--members", 2, "--steps", 1, "--size", 64,
        "--workers", 1, "--out", report,
    )  # fmt: skip
    result = ssldm(*asked, "--baselines", "persistence,extrapolation")
    assert result.returncode == 0, result.stderr
    assert f"{report / 'index.html'}: 2 windows, 2 members" in result.stdout
    scores = (report / "scores.csv").read_text()
    assert scores.splitlines()[0] == ",".join(COLUMNS)
    refused(ssldm(*asked, "--baselines", "magic"), "magic", "persistence")
    refused(ssldm(*asked, "--baselines", "", "--reference", "steps"), "steps")
    refused(ssldm(*asked, "--baselines", "", "--model", f"tiny={model}"), "different names")
    refused(ssldm(*asked, "--baselines", "", "--model", f"a/b={model}"), "a/b")
    refused(ssldm(*asked, "--baselines", "", "--thresholds", "wet"), "wet", "hko7")
    refused(ssldm(*asked, "--baselines", "", "--thresholds", "sevir"), "VIL", "KNMI")
    refused(ssldm(*asked, "--baselines", "", "--lead-frames", 99), "at most 4", "99")
    refused(ssldm(*asked, "--baselines", "", "--every", 2, "--size", 512), "windows")
    refused(ssldm(*asked, "--baselines", "", "--forecast", f"theirs={tmp_path}/*.none"), "theirs", "*.none")
    refused(ssldm(*asked, "--baselines", "", "--sampler", "magic"), "magic")


def test_a_command_that_is_told_to_end_leaves_nothing_half_written(
    tmp_path: Path, frames: list[Path]
) -> None:
    out = tmp_path / "out" / "n.nc"
    command = [
        *COMMAND,
        "nowcast",
        *map(str, frames),
        "--members",
        "4000",
        "--device",
        "cpu",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120.0
        while not (out.parent.is_dir() and list(out.parent.iterdir())):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.terminate()
        process.communicate(timeout=60.0)
    finally:
        process.kill()
    assert process.returncode == 143
    assert not list(out.parent.iterdir())
