"""A study runs from its command, at the smallest size."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

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
