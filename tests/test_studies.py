"""A study runs from its command, at the smallest size."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from radar_files import write_knmi

from ssldm.radar.archive_build import build_archive
from ssldm.radar.simulation import simulate
from ssldm.training.pack import PackConfig, build_pack
from ssldm.training.preset import load_preset
from ssldm.training.run import train_autoencoder

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
TRAIN = (
    "knmi-train", "fmi-train", "meteoswiss-train", "smhi-train",
    "bom-train", "bom-10-minutes-train", "opera-train", "mrms-train",
)  # fmt: skip
VALIDATION = ("knmi-validation", "smhi-validation")
OTHERS = (
    "beryl-train", "knmi-showers-train", "knmi-winter-train", "knmi-evening-validation",
    "knmi-dry-validation", "knmi-dry-later-validation", "mrms-validation", "smhi-test", "meteoswiss-test",
    "mrms-test",
)  # fmt: skip


@pytest.mark.slow
def test_events_are_left_out_and_scored(storm_archive: Callable[[int], Path], tmp_path: Path) -> None:
    shutil.copytree(EXPERIMENTS, tmp_path / "experiments", ignore=shutil.ignore_patterns("*.csv"))
    archives = tmp_path / "runs" / "archives"
    archives.mkdir(parents=True)
    for name in (*VALIDATION, *OTHERS):  # not read by it, but for those that are trained on
        (archives / f"{name}.zarr").touch()
    trained_on = (*TRAIN, "beryl-train", "knmi-showers-train", "knmi-winter-train")
    for seed, name in enumerate(trained_on):
        (archives / f"{name}.zarr").unlink(missing_ok=True)
        (archives / f"{name}.zarr").symlink_to(storm_archive(seed))
    for n, values in enumerate((simulate(10, (64, 64), seed=5).values * 100 / 12).round()):
        write_knmi(tmp_path, f"2010-08-26T03:{5 * n:02}", values)
    (archives / "knmi-train.zarr").unlink()
    build_archive([str(path) for path in sorted(tmp_path.glob("*.h5"))], archives / "knmi-train.zarr")
    block = "autoencoder={kind: block, latent_channels: 4, width: 8, fit_steps: 4}"
    coder, paths = tmp_path / "coder", [archives / "fmi-train.zarr"]
    train_autoencoder(load_preset("tiny", [block]), paths, [archives / "opera-train.zarr"], coder)

    options = [
        *("--fold", "knmi-opera", "--preset", "tiny", "--autoencoder", coder, "--steps", "4"),
        *("--windows", "1", "--size", "64", "--lead-frames", "4", "--runs", archives.parent),
        *(block, "prior_training.openings=1", "window.rescaled=true"),
    ]
    command = [sys.executable, tmp_path / "experiments" / "leave_out.py", *options]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr

    table = pd.read_csv(tmp_path / "experiments" / "leave_out" / "scores.csv", index_col="left out")
    assert list(table.index) == ["knmi-train", "opera-train"]
    assert (table[["CRPS", "STEPS"]] > 0).all(axis=None)
    assert (table["ratio"] - table["CRPS"] / table["STEPS"]).abs().max() < 0.01
    assert table[["coherence at 20", "highest_rank at 20"]].notna().all(axis=None)
    run = archives.parent / "leave-out" / "knmi-opera-4"
    described = json.loads((run / "model" / "config.json").read_text())["training_data"]
    assert described
    assert all(text.startswith("SMHI") for text in described)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of two products, one of which a fold leaves out."""
    storms = [simulate(20, (144, 144), seed=seed) for seed in (1, 2)]
    for storm, product in zip(storms, ("FMI composite", "SMHI composite"), strict=True):
        storm.attrs["product"] = product
    out = tmp_path_factory.mktemp("pack") / "train.pack"
    build_pack(storms, out, PackConfig(openings=1))
    return out


def on_an_accelerator(pack: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, EXPERIMENTS / "accelerator.py", pack, out, "--width", "8", *options]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_one_command_trains_without_a_fold_from_a_pack_alone(pack: Path, tmp_path: Path) -> None:
    done = on_an_accelerator(pack, tmp_path, "--fold", "fmi-meteoswiss", "--steps", "2")
    assert not done.returncode, done.stderr
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert [text.split(",")[0] for text in config["training_data"]] == ["SMHI composite"]
    assert set(config["versions"]) == {"ssldm", "torch"}
    assert "s a step" in done.stdout


@pytest.mark.slow
def test_all_and_every_fold_are_trained_in_the_minutes_given(pack: Path, tmp_path: Path) -> None:
    done = on_an_accelerator(pack, tmp_path, "--minutes", "3", "--probe-steps", "4")
    assert not done.returncode, done.stderr
    for name in ("all", "fmi-meteoswiss", "knmi-opera", "smhi-bom10", "bom-mrms", "beryl-winter"):
        assert (tmp_path / name / "model" / "model.safetensors").exists(), (
            tmp_path / f"{name}.log"
        ).read_text()


def test_a_study_makes_its_table_and_figure(storm_archive: Callable[[int], Path], tmp_path: Path) -> None:
    shutil.copytree(EXPERIMENTS, tmp_path / "experiments", ignore=shutil.ignore_patterns("*.csv"))
    archives = tmp_path / "runs" / "archives"
    archives.mkdir(parents=True)
    for seed, name in enumerate((*TRAIN, *VALIDATION)):
        (archives / f"{name}.zarr").symlink_to(storm_archive(seed))
    for name in OTHERS:  # not read by it
        (archives / f"{name}.zarr").touch()
    coder = tmp_path / "runs" / "autoencoder"
    paths = [archives / f"{name}.zarr" for name in TRAIN]
    train_autoencoder(load_preset("tiny"), paths, [archives / f"{n}.zarr" for n in VALIDATION], coder)

    script = tmp_path / "experiments" / "network.py"
    options = [
        *("--budget", "0.05", "--preset", "tiny"),
        *("--runs", str(archives.parent), "--autoencoder", str(coder)),
    ]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False)

    assert not done.returncode, done.stderr
    table = pd.read_csv(tmp_path / "experiments" / "network" / "results.csv")
    assert {"variant", "seed", "dataset", "metric", "threshold", "value", "n"} <= set(table)
    assert table["variant"].nunique() == 6
    assert table.query("metric == 'crps'").groupby("variant")["value"].first().gt(0).all()
    assert set(table.query("metric == 'crps_change'")["variant"]) == set(table["variant"]) - {"full"}
    assert (tmp_path / "docs" / "studies" / "network-table.md").read_text().startswith("|  | n |")
    assert (tmp_path / "docs" / "images" / "study-network.png").exists()
