"""Training over many processes: what they see and learn together is what one alone would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import numpy as np
import pandas as pd
import pytest
import torch

from ssldm.errors import ConfigurationError
from ssldm.forecast.weights_folder import read_weights
from ssldm.training import sampler
from ssldm.training.distribution import Distribution
from ssldm.training.preset import load_preset
from ssldm.training.processes import batch_shape, mean_over_processes, own_rows, sum_over_processes
from ssldm.training.run import train_autoencoder, train_denoiser
from ssldm.training.sampler import StepSampler, own_examples

CLI = [sys.executable, "-m", "ssldm", "train"]
ADVERSARY = [f"autoencoder_training.adversary.{value}" for value in ("weight=1", "start=1", "width=8")]


def optimised(kind: str, **values: float) -> list[str]:
    return [f"{kind}_training.optimisation.{name}={value}" for name, value in values.items()]


BLOCK = "autoencoder={kind: block, latent_channels: 4, width: 8, fit_steps: 4}"
ENDLESS = optimised("autoencoder", steps=10**6)


def command(kind: str, archives: list[Path], out: Path, *extra: str) -> list[str]:
    train, held = (str(archive) for archive in archives)
    validation = [] if kind == "prior" else ["--validation", held]
    return [*CLI, kind, "--preset", "tiny", "--data", train, *validation, "--out", str(out), *extra]


def run(kind: str, archives: list[Path], out: Path, *extra: str) -> Path:
    done = subprocess.run(command(kind, archives, out, *extra), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def logged(out: Path, sitting: int = 0) -> pd.DataFrame:
    """Losses and scores of a run, one row a step."""
    table = pd.read_csv(out / "log" / f"version_{sitting}" / "metrics.csv")
    return table.drop(columns="epoch").groupby("step").first()


def assert_alike(expected: pd.DataFrame, found: pd.DataFrame, relative: float) -> None:
    assert len(expected) == len(found)
    pd.testing.assert_frame_equal(expected, found, rtol=relative, atol=1e-6, check_exact=False)


@pytest.fixture
def archives(storm_archive: Callable[[int], Path]) -> list[Path]:
    return [storm_archive(1), storm_archive(2)]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_processes_see_together_what_one_sees(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "process_count", lambda: count)
    seen: list[list[list[int]]] = []
    validated: list[int] = []
    for rank in range(count):
        monkeypatch.setattr(sampler, "process_rank", lambda rank=rank: rank)
        numbers = StepSampler(lambda: 5, steps_per_epoch=3, batch_size=6)
        assert len(numbers) == len(list(numbers))
        seen.append(np.array_split(list(numbers), 3))
        validated += own_examples(7)
    for step in range(3):
        batch = np.concatenate([each[step] for each in seen])
        np.testing.assert_array_equal(batch, np.arange(6) + 6 * (5 + step))
    assert sorted(validated) == list(range(7))


def test_one_process_has_all_rows_and_sums() -> None:
    values = torch.arange(6.0).reshape(3, 2)
    assert batch_shape(values) == (3, 2)
    for function in (own_rows, sum_over_processes, mean_over_processes):
        assert torch.equal(function(values), values)


def test_what_cannot_be_shared_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    preset = load_preset("tiny")
    with pytest.raises(ConfigurationError, match="batch_size that 6 processes share evenly, found 4"):
        train_autoencoder(preset, [tmp_path / "none"], [], tmp_path, distribution=Distribution(3, 2))
    with pytest.raises(ConfigurationError, match="validation_windows of at least 2, one a process, found 1"):
        train_denoiser(preset, [tmp_path / "none"], [], tmp_path, tmp_path, distribution=Distribution(2))


def test_two_processes_learn_what_one_does(archives: list[Path], tmp_path: Path) -> None:
    extra = [*optimised("autoencoder", steps=4, steps_per_epoch=1, validate_epochs=4), *ADVERSARY]
    one, two = (run("autoencoder", archives, tmp_path / n, "--devices", n, *extra) for n in ("1", "2"))
    assert_alike(logged(one), logged(two), 1e-4)
    assert len(list((two / "log").iterdir())) == 1
    expected, found = read_weights(one / "model"), read_weights(two / "model")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5, msg=name)


@contextmanager
def begun(command: list[str], out: Path, **options: object) -> Iterator[subprocess.Popen]:
    """A training that has made a checkpoint."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True, **options)
    try:
        deadline = time.monotonic() + 240
        while not (out / "last.ckpt").exists():
            assert process.poll() is None, "training ended before its first checkpoint"
            assert time.monotonic() < deadline, "no checkpoint was made"
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def children(process: subprocess.Popen) -> list[int]:
    return [int(n) for n in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def ends(process: int) -> bool:
    """Whether a process has ended, or does so before long."""
    for _ in range(600):
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_a_process_that_is_killed_ends_all_in_one_line(archives: list[Path], tmp_path: Path) -> None:
    long = command(
        "autoencoder", archives, tmp_path, "--devices", "2", *optimised("autoencoder", steps=10**6)
    )
    with begun(long, tmp_path, stderr=subprocess.PIPE) as process:
        (child,) = children(process)
        os.kill(child, signal.SIGKILL)
        _, said = process.communicate(timeout=240)
    assert process.returncode == 2
    assert [line for line in said.splitlines() if line.startswith("ssldm")] == [
        "ssldm: process 1 of this training was killed (-9)"
    ]
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_signal_ends_all(number: signal.Signals, status: int, archives: list[Path], tmp_path: Path) -> None:
    long = command(
        "autoencoder", archives, tmp_path, "--devices", "2", *optimised("autoencoder", steps=10**6)
    )
    with begun(long, tmp_path, stderr=subprocess.DEVNULL) as process:
        (child,) = children(process)
        process.send_signal(number)
        assert process.wait(timeout=240) == status
        assert ends(child)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_a_process_whose_launcher_is_killed_before_it_trains_ends(
    archives: list[Path], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command("autoencoder", archives, tmp_path, "--devices", "2", *ENDLESS),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (found := children(process)):
        assert process.poll() is None, "training ended before it launched a process"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert ends(found[0])


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_all_in_one_line(archives: list[Path], tmp_path: Path) -> None:
    extra = optimised("autoencoder", learning_rate=1e30, warmup_steps=0)
    failed = subprocess.run(
        command("autoencoder", archives, tmp_path, "--devices", "2", *extra),
        check=False,
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 2
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("ssldm")]
    assert "the loss is no number" in line
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["autoencoder", "denoiser", "prior", "unet"])
def test_fifty_steps_are_alike_also_killed_and_resumed_on_three(
    kind: str, archives: list[Path], tmp_path: Path
) -> None:
    extra = [*optimised(kind, steps=50, steps_per_epoch=1, validate_epochs=10, batch_size=6)]
    if kind == "denoiser":
        coder = run("autoencoder", archives, tmp_path / "coder")
        extra += ["--autoencoder", str(coder), "denoiser_training.validation_windows=4"]
    if kind == "prior":
        coder = run("autoencoder", archives, tmp_path / "coder", BLOCK)
        extra += ["--autoencoder", str(coder), BLOCK]
    one, two, broken = (tmp_path / name for name in ("one", "two", "broken"))
    run(kind, archives, one, *extra)
    run(kind, archives, two, "--devices", "2", *extra)
    assert_alike(logged(one), logged(two), 1e-4)
    with begun(
        command(kind, archives, broken, "--devices", "2", *extra), broken, stderr=subprocess.DEVNULL
    ) as process:
        process.kill()
    assert torch.load(broken / "last.ckpt", weights_only=False)["global_step"] < 50
    run(kind, archives, broken, "--resume", "--devices", "3", *extra)
    again = logged(broken, sitting=1).filter(like="train/")  # validations follow epochs of the sitting
    assert_alike(logged(one).filter(like="train/").loc[again.index[0] :], again, 1e-4)


@pytest.mark.slow
def test_two_nodes_learn_what_one_does(archives: list[Path], tmp_path: Path) -> None:
    coder = run("autoencoder", archives, tmp_path / "coder")
    extra = [*optimised("denoiser", steps=4, steps_per_epoch=1), "denoiser_training.validation_windows=3"]
    extra += ["--autoencoder", str(coder)]
    one, two = tmp_path / "one", tmp_path / "two"
    run("denoiser", archives, one, *extra)
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    nodes = [
        subprocess.Popen(
            command("denoiser", archives, two, "--nodes", "2", *extra),
            env=os.environ | address | {"NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(2)
    ]
    said = [node.communicate(timeout=240)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0]
    assert [text.count("weights:") for text in said] == [1, 0]
    assert_alike(logged(one), logged(two), 1e-4)
