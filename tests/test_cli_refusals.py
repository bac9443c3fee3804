"""Wrong values for `archive`, `train`, `verify` and `model` end in status 2 and one line, before any work."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from radar_files import smhi_bytes, write_knmi, write_smhi
from test_cli import refused, ssldm

from ssldm.cli.arguments import parse_box, parse_time
from ssldm.errors import ConfigurationError
from ssldm.radar.archive_build import build_archive
from ssldm.radar.simulation import simulate

ONCE = "{steps: 1, steps_per_epoch: 1, batch_size: 2, precision: 32-true}"


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_knmi(tmp_path_factory.mktemp("knmi"), "2010-08-26T03:00", np.ones((64, 64)))


@pytest.fixture(scope="module")
def data(storm_archive: Callable[[int], Path]) -> list[object]:
    return ["--preset", "tiny", "--data", storm_archive(1), "--validation", storm_archive(2)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(
            ("--crop", box)
            for box in ("10,50,5,55", "5,55,10,50", "5,50,5,55", "nan,1,2,3", "1,2,3", "a,b,c,d")
        ),
        *(("--max-rate", rate) for rate in ("-1", "0", "nan", "x")),
        *(("--start", time) for time in ("noon", "NaT", "", "20210511", "99999-01-01", "2262-05-01")),
        *(("--step", step) for step in ("0", "-5", "nan", "inf")),
        *(("--resolution", size) for size in ("0", "-1000", "nan", "inf", "1e9", "0.001")),
        *(("--workers", count) for count in ("0", "-1", "x")),
        *(("--zr", pair) for pair in ("0,1.6", "-1,1", "nan,1", "1,inf", "1", "a,b")),
        *(("--crs", crs) for crs in ("nonsense", "EPSG:99999999", "")),
        *(("--attribute", pair) for pair in ("x", "=x")),
    ],
)
def test_an_archive_is_not_built_from_wrong_values(
    option: str, value: str, frame: Path, tmp_path: Path
) -> None:
    refused(ssldm("archive", "build", frame, tmp_path / "a.zarr", f"{option}={value}"))
    assert not (tmp_path / "a.zarr").exists()


def test_a_period_ends_after_it_starts(frame: Path, tmp_path: Path) -> None:
    period = ("--start", "2010-08-27", "--end", "2010-08-26")
    refused(ssldm("archive", "build", frame, tmp_path / "a.zarr", *period), "2010-08-27 to 2010-08-26")


def test_a_box_may_only_cross_the_antimeridian() -> None:
    assert parse_box("170,-50,-170,-30", "crop") == (170.0, -50.0, -170.0, -30.0)
    with pytest.raises(ConfigurationError, match="west < east"):
        parse_box("10,-50,-170,-30", "crop")


@pytest.mark.parametrize("zone", ["Z", "+00:00", "+05:30", "-03:00"])
def test_a_time_of_another_zone_becomes_utc(zone: str) -> None:
    hours = {"Z": 0.0, "+00:00": 0.0, "+05:30": 5.5, "-03:00": -3.0}[zone]
    local = np.datetime64("2021-05-11T02:30", "m")
    assert parse_time(f"{local}{zone}") == local - np.timedelta64(int(60 * hours), "m")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--events", count) for count in (0, -1, "x", 10**6)),
        *(("--frames", count) for count in (0, -1)),
        *(("--size", side) for side in (0, -5, "nan")),
        *(("--seed", seed) for seed in (-1, 10**5, 2**70)),
    ],
)
def test_storms_are_not_simulated_from_wrong_values(option: str, value: object, tmp_path: Path) -> None:
    size = ("--events", 1, "--frames", 1, "--size", 16)
    refused(ssldm("archive", "simulate", tmp_path / "a.zarr", *size, option, value))
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("kind", ["autoencoder", "denoiser", "unet"])
def test_a_training_refuses_what_is_no_archive_no_folder_or_no_run(
    kind: str, data: list[object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    extra = ("--autoencoder", tmp_path / "empty") if kind == "denoiser" else ()

    def train(*options: object) -> object:
        return ssldm("train", kind, *data, *extra, *options)

    refused(train("--out", tmp_path / "file"), "file")
    refused(train("--out", tmp_path / "run", "--resume"), "checkpoint to resume")
    refused(train("--out", tmp_path / "run", "windwo.size=64"), "did you mean window?")
    refused(train("--out", tmp_path / "run", "window"), "key=value")
    for wrong in ("file", "empty", "none"):
        refused(ssldm("train", kind, *extra, "--data", tmp_path / wrong, "--out", tmp_path / "run"))
    refused(train("--out", tmp_path / "run", "window.size=128", "autoencoder_training.crop=128"))
    assert not (tmp_path / "run").exists()


def test_a_run_is_neither_written_over_nor_resumed_as_another(data: list[object], tmp_path: Path) -> None:
    run, once = tmp_path / "run", f"autoencoder_training.optimisation={ONCE}"
    train = ("train", "autoencoder", *data, once)
    assert ssldm(*train, "--out", run).returncode == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refused(ssldm(*train, "autoencoder.blocks=2", "--out", run), "holds a run already")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    refused(ssldm(*train, "autoencoder.width=16", "--out", run, "--resume"), "shape (8,) and not (16,)")
    again = ("train", "denoiser", *data, "--autoencoder", run, "--out", tmp_path / "denoiser")
    refused(ssldm(*again, "autoencoder.width=16"), "autoencoder.width is 8, expected 16")
    content = (run / "last.ckpt").read_bytes()
    for damaged in (b"", b"abc", content[: len(content) // 2]):
        (run / "last.ckpt").write_bytes(damaged)
        refused(ssldm(*train, "--out", run, "--resume"), "last.ckpt", "damaged")


def test_dry_windows_have_no_latents_to_measure(tmp_path: Path) -> None:
    dry = smhi_bytes(simulate(24, (64, 64)).values * 0.0)
    options: list[object] = [
        "--preset",
        "tiny",
        "autoencoder={kind: block, latent_channels: 4, fit_steps: 1}",
    ]
    for day, split in ((1, "--data"), (2, "--validation")):
        folder = tmp_path / f"dry-{day}"
        folder.mkdir()
        write_smhi(folder, dry, start=f"2021-05-{day:02}T02:30")
        build_archive([str(folder)], folder.with_suffix(".zarr"))
        options += [split, folder.with_suffix(".zarr")]
    once = f"autoencoder_training.optimisation={ONCE}"
    assert ssldm("train", "autoencoder", *options, once, "--out", tmp_path / "a").returncode == 0
    denoiser = ("train", "denoiser", *options, "--autoencoder", tmp_path / "a", "--out", tmp_path / "d")
    refused(ssldm(*denoiser), "expected rain")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--members", 0), ("--members", 2.5), ("--steps", 0), ("--seed", -1), ("--seed", 2**70),
        ("--size", 7), ("--every", 0), ("--windows", 0), ("--lead-frames", 0), ("--workers", 0),
        ("--device", "abacus"), ("--sampler", "dpm-sover++"), ("--thresholds", "nan"),
        ("--model", "nonesuch"), ("--forecast", "x"),
    ],
)  # fmt: skip
def test_nothing_is_verified_with_wrong_values(
    option: str, value: object, data: list[object], tmp_path: Path
) -> None:
    report = tmp_path / "report"
    rest = ("--data", data[3], "--baselines", "persistence", "--out", report, "--size", 64)
    refused(ssldm("verify", *rest, option, value))
    assert not (report / "scores.csv").exists()


def test_weights_of_another_configuration_say_what_differs(tmp_path: Path) -> None:
    from test_nowcast import tiny_model

    from ssldm.forecast.nowcaster import Nowcaster

    Nowcaster(tiny_model(), "tiny").save_pretrained(tmp_path / "model")
    for text in ("", "[]", "{}", "null", '{"scaling": 3}'):
        wrong = tmp_path / "wrong"
        shutil.copytree(tmp_path / "model", wrong, dirs_exist_ok=True)
        (wrong / "config.json").write_text(text)
        refused(ssldm("model", "info", wrong), "wrong")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["denoiser"]["temporal_heads"] = 1
    (wrong / "config.json").write_text(json.dumps(config))
    refused(ssldm("model", "info", wrong), "denoiser")
