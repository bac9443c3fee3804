"""`ssldm train prior`, from archives of simulated storms to a forecast."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from radar_files import write_knmi
from test_cli import refused, ssldm

from ssldm.forecast.dataset import open_nowcast
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.weights_folder import read_weights
from ssldm.radar.simulation import simulate
from ssldm.training.packed_series import read_header, read_pack

BLOCK = "autoencoder={kind: block, latent_channels: 4, width: 8, fit_steps: 4}"
ONCE = "autoencoder_training.optimisation={steps: 1, steps_per_epoch: 1, batch_size: 2, precision: 32-true}"
STORMS = "SMHI composite, windows of SSLDM-ISI"
DUTCH = "KNMI RAD_NL25_RAP_5min"


@pytest.fixture(scope="module")
def archives(storm_archive: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of two products."""
    folder = tmp_path_factory.mktemp("knmi")
    for n, values in enumerate((simulate(10, (64, 64), seed=5).values * 100 / 12).round()):
        write_knmi(folder, f"2010-08-26T03:{5 * n:02}", values)
    assert ssldm("archive", "build", folder, folder / "a.zarr").returncode == 0
    return [storm_archive(1), folder / "a.zarr"]


def coder(archive: Path, held: Path, out: Path, *overrides: str) -> Path:
    rest = ("--preset", "tiny", "--data", archive, "--validation", held, "--out", out, ONCE, *overrides)
    assert ssldm("train", "autoencoder", *rest).returncode == 0
    return out


@pytest.fixture(scope="module")
def autoencoder(storm_archive: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coder(storm_archive(1), storm_archive(2), tmp_path_factory.mktemp("coder") / "run", BLOCK)


def train(autoencoder: Path, out: Path, *options: object) -> object:
    return ssldm(
        "train", "prior", "--preset", "tiny", "--autoencoder", autoencoder, "--out", out, BLOCK, *options
    )


@pytest.fixture(scope="module")
def run(archives: list[Path], autoencoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prior") / "storms"
    data = [word for archive in archives for word in ("--data", archive)]
    done = train(autoencoder, out, *data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"weights: {out / 'model'}\n")
    return out


def test_archives_become_a_model_that_forecasts(run: Path, autoencoder: Path, tmp_path: Path) -> None:
    config = json.loads((run / "model" / "config.json").read_text())
    assert (config["name"], config["lead_frames"], config["step_minutes"]) == ("storms", 4, 5.0)
    assert config["training_data"] == [
        f"{DUTCH}, 2010-08-26T03:00 to 2010-08-26T03:45 UTC",
        f"{STORMS}, 2021-05-02T02:35 to 2021-05-02T04:30 UTC",
    ]
    assert config["pixel_size"] == [1000, 2000]
    assert set(config["versions"]) == {"ssldm", "torch"}
    frames = [
        write_knmi(tmp_path, f"2010-08-27T03:{5 * n:02}", (values * 100 / 12).round())
        for n, values in enumerate(simulate(4, (64, 64), seed=7).values)
    ]
    out = tmp_path / "n.nc"
    done = ssldm("nowcast", *frames, "--model", run / "model", "--members", 2, "--out", out)
    assert done.returncode == 0, done.stderr
    rate = open_nowcast(out)["precipitation_rate"]
    assert dict(rate.sizes) == {"member": 2, "lead_time": 4, "y": 64, "x": 64}
    written = read_weights(run / "model")
    for name, value in read_weights(autoencoder / "model").items():
        assert torch.equal(written[f"autoencoder.{name}"], value)
    assert bool((written["latent_std"] != 1.0).all())


def test_a_pack_serves_without_archives(run: Path, autoencoder: Path, tmp_path: Path) -> None:
    assert [each.product for each in read_pack(run / "train.pack")] == [STORMS, DUTCH]
    assert read_header(run / "train.pack").context == 4
    out = tmp_path / "storms"
    done = train(autoencoder, out, "--pack", run / "train.pack")
    assert done.returncode == 0, done.stderr
    assert not (out / "train.pack").exists()
    expected, found = (read_weights(folder / "model") for folder in (run, out))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_the_autoencoder_of_a_whole_model_brings_its_deviations(run: Path, tmp_path: Path) -> None:
    rest = ("--pack", run / "train.pack", "prior_training.optimisation.seed=3")
    assert train(run, tmp_path / "run", *rest).returncode == 0
    expected, found = (read_weights(folder / "model") for folder in (run, tmp_path / "run"))
    assert torch.equal(expected["latent_std"], found["latent_std"])


def test_a_product_is_left_out_and_validated_on(run: Path, autoencoder: Path, tmp_path: Path) -> None:
    pack = ("--pack", run / "train.pack")
    done = train(autoencoder, tmp_path / "run", *pack, "--without", DUTCH)
    assert done.returncode == 0, done.stderr
    metrics = (tmp_path / "run" / "log" / "version_0" / "metrics.csv").read_text()
    assert {"val/crps", "val/extrapolation"} <= set(metrics.splitlines()[0].split(","))
    (described,) = Nowcaster.from_pretrained(tmp_path / "run" / "model").config.training_data
    assert described.startswith(STORMS)
    refused(
        train(autoencoder, tmp_path / "b", *pack, "--without", "KNMI RAD_NL25_RAP"), f"did you mean {DUTCH}?"
    )
    both = ("--without", DUTCH, "--without", STORMS)
    refused(train(autoencoder, tmp_path / "b", *pack, *both), "found all left out")
    assert not (tmp_path / "b").exists()


def test_a_run_is_resumed_and_not_written_over(run: Path, autoencoder: Path, tmp_path: Path) -> None:
    pack = ("--pack", run / "train.pack")
    refused(train(autoencoder, run, *pack), "holds a run already")
    refused(train(autoencoder, tmp_path / "run", *pack, "--resume"), "checkpoint to resume")
    before = read_weights(run / "model")
    assert train(autoencoder, run, *pack, "--resume").returncode == 0
    for name, value in read_weights(run / "model").items():
        assert torch.equal(value, before[name]), name


def test_what_a_prior_cannot_be_trained_from_is_refused(
    run: Path, autoencoder: Path, archives: list[Path], tmp_path: Path
) -> None:
    out, pack = tmp_path / "run", ("--pack", run / "train.pack")
    refused(train(autoencoder, out), "expected archives or a pack", "found neither")
    refused(train(autoencoder, out, "--pack", tmp_path / "none"), "found neither", "none")
    (tmp_path / "wrong").write_text("x")
    refused(train(autoencoder, out, "--pack", tmp_path / "wrong"), "wrong", "not a pack")
    refused(train(autoencoder, out, *pack, "--data", archives[0]), "train.pack", "other archives")
    refused(train(autoencoder, out, "--data", tmp_path / "none.zarr"), "none.zarr")
    refused(train(tmp_path / "none", out, *pack), "found no config.json")
    refused(train(autoencoder, out, *pack, "autoencoder.width=16"), "autoencoder.width is 8, expected 16")
    refused(
        train(autoencoder, out, *pack, "prior_training.size=36", "prior_training.levels=2"), "multiple of 8"
    )
    refused(train(autoencoder, out, *pack, "prior_training.size=256"), "windows of 256×256 pixels")
    refused(train(autoencoder, out, *pack, "prior_training.scales=[128]"), "scales of at most size=64")
    contexts = ("window.context_frames=3", "denoiser.merge_net.context_frames=3")
    refused(train(autoencoder, out, *pack, *contexts), "window.context_frames=3", "found 4")
    assert not out.exists()


def test_an_autoencoder_without_waves_is_refused(
    run: Path, storm_archive: Callable[[int], Path], tmp_path: Path
) -> None:
    kl = coder(storm_archive(1), storm_archive(2), tmp_path / "kl")
    rest = ("--preset", "tiny", "--autoencoder", kl, "--pack", run / "train.pack", "--out", tmp_path / "run")
    refused(ssldm("train", "prior", *rest), "expected a block autoencoder", "kind kl", str(kl))
    assert not (tmp_path / "run").exists()
