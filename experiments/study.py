"""What the studies share: variants and seeds, each trained for the same time on one core, scored alike.

A study is a command of its own beside this file. What it has finished stays in its run folder, so that it
goes on where it was stopped.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.weights_folder import write_weights
from ssldm.model.latent_diffusion import ModelConfig
from ssldm.radar.isolation import process_pool
from ssldm.training.autoencoder_weights import MODEL, AutoencoderWeights
from ssldm.training.denoiser_module import DenoiserModule
from ssldm.training.optimisation import precision_of
from ssldm.training.preset import OptimisationConfig, Preset, load_preset
from ssldm.training.run import train_denoiser

HERE = Path(__file__).parent
TRAIN = (
    "knmi-train", "fmi-train", "meteoswiss-train", "smhi-train",
    "bom-train", "bom-10-minutes-train", "opera-train", "mrms-train",
)  # fmt: skip
VALIDATION = ("knmi-validation", "smhi-validation")
WINDOWS_A_MINUTE = 40


@dataclass(frozen=True)
class Options:
    """What a study was asked for.

    Attributes:
        budget: minutes of training on one core for each variant and seed.
        seeds: one training each.
        archives: folder of the archives that `archives.sh` makes.
        out: folder of the runs.
        results: folder of the table and the figure.
        workers: trainings at a time.
        preset: what the variants are variants of.
    """

    budget: float
    seeds: tuple[int, ...]
    archives: Path
    out: Path
    results: Path
    workers: int
    preset: str

    def paths(self, names: Sequence[str]) -> list[Path]:
        """Archives by name."""
        return [self.archives / f"{name}.zarr" for name in names]


@dataclass(frozen=True)
class Job:
    """One training: a variant of a preset and a seed."""

    variant: str
    overrides: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        """Of its folder, and as a contestant."""
        return f"{self.variant}-{self.seed}"


def parse(
    name: str, description: str | None, *, budget: float, seeds: str, needs_autoencoder: bool = False
) -> tuple[Options, argparse.Namespace]:
    """The options of a study, and all that was given; makes the archives where they are missing."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=budget, help="minutes on a core for each training")
    parser.add_argument("--seeds", default=seeds, help="comma-separated")
    parser.add_argument("--data", type=Path, default=HERE.parent / "../shared/data", help="radar files")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs", help="archives and trainings")
    parser.add_argument("--results", type=Path, default=HERE / name, help="table and figure")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="trainings at a time")
    parser.add_argument("--preset", default="small", help="what the variants are variants of")
    if needs_autoencoder:
        parser.add_argument(
            "--autoencoder",
            type=Path,
            help="run of `ssldm train autoencoder`; else that of the shipped weights",
        )
    given = parser.parse_args()
    subprocess.run([HERE / "archives.sh", given.data, given.runs], check=True)
    given.results.mkdir(parents=True, exist_ok=True)
    options = Options(
        budget=given.budget,
        seeds=tuple(int(seed) for seed in given.seeds.split(",")),
        archives=given.runs / "archives",
        out=given.runs / f"study-{name}-{given.budget:g}",
        results=given.results,
        workers=given.workers,
        preset=given.preset,
    )
    if needs_autoencoder and given.autoencoder is None:
        given.autoencoder = shipped_autoencoder(options)
    return options, given


def shipped_autoencoder(options: Options) -> Path:
    """A folder like a run's, with the autoencoder of the shipped weights of the preset's name."""
    folder = options.out / "autoencoder"
    model = Nowcaster.from_pretrained(options.preset, device="cpu").model.float()
    config = AutoencoderWeights(scaling=model.config.scaling, autoencoder=model.config.autoencoder)
    write_weights(folder / MODEL, config, model.autoencoder.state_dict())
    return folder


def preset_of(options: Options, overrides: Sequence[str] = ()) -> Preset:
    """The preset of a study's trainings: windows of few coarsenings, as a short one sees few of them."""
    return load_preset(options.preset, ("window.coarsenings=[1,2]", *overrides))


def jobs(variants: dict[str, Sequence[str]], seeds: Sequence[int]) -> list[Job]:
    """All trainings, first those of the first seed."""
    return [Job(variant, tuple(overrides), seed) for seed in seeds for variant, overrides in variants.items()]


def train_all(options: Options, todo: Sequence[Job], train: Callable[[Options, Job, Path], None]) -> None:
    """Do every training that is not done, some at a time, on one core each."""
    missing = [job for job in todo if not (options.out / job.name / "done.json").exists()]
    if not missing:
        return
    with process_pool(min(options.workers, len(missing)), fresh=True, prepare=one_thread) as pool:
        futures = {pool.submit(_train_one, options, job, train): job for job in missing}
        for future in as_completed(futures):
            print(f"{futures[future].name}: {future.result():.1f} min", flush=True)


def _train_one(options: Options, job: Job, train: Callable[[Options, Job, Path], None]) -> float:
    folder = options.out / job.name
    start = time.monotonic()
    train(options, job, folder)
    minutes = (time.monotonic() - start) / 60.0
    (folder / "done.json").write_text(json.dumps({"minutes": minutes}))
    return minutes


def one_thread() -> None:
    """Compute with one thread, as another training has the other core."""
    import cv2
    import threadpoolctl
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threadpoolctl.threadpool_limits(1)


def seconds_a_step(
    module: Any, draw: Callable[[], Any], training: OptimisationConfig, repeats: int = 6
) -> float:
    """Median time of drawing a batch and taking a training step of a Lightning module on it.

    Time of the processor, as a training has one core to itself: what else runs meanwhile does not count.
    """
    optimiser = module.configure_optimizers()["optimizer"]
    mixed = precision_of(training) == "bf16-mixed"
    times = []
    for _ in range(repeats):
        start = time.process_time()
        batch = draw()
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimiser.step()
        times.append(time.process_time() - start)
    return float(np.median(times[1:]))


def denoiser_seconds(preset: Preset) -> float:
    """Seconds of a training step of the denoiser of a preset."""
    window, coder = preset.window, preset.autoencoder
    config = ModelConfig(
        name="pace",
        context_frames=window.context_frames,
        lead_frames=window.lead_frames,
        scaling=preset.scaling,
        autoencoder=coder,
        denoiser=preset.denoiser,
        diffusion=preset.diffusion,
    )
    batch, side = preset.denoiser_training.optimisation.batch_size, window.size // coder.stride
    lead = (batch, window.lead_frames)
    example = {
        "context_latent": torch.randn(batch, window.context_frames, coder.latent_channels, side, side),
        "lead_latent": torch.randn(*lead, coder.latent_channels, side, side),
        "extrapolated_latent": torch.randn(*lead, coder.latent_channels, side, side),
        "extrapolated_coverage": torch.ones(*lead, 1, side, side),
        "lead_observed": torch.ones(*lead, 1, side, side),
        "context_pixels": torch.zeros(batch, window.context_frames, 1, window.size, window.size),
        "weight": torch.ones(batch),
    }
    module = DenoiserModule(preset, config.build(), Path())
    return seconds_a_step(module, lambda: example, preset.denoiser_training.optimisation)


def steps_for(options: Options, key: str, pace: Callable[[], float]) -> int:
    """Optimiser steps that the budget allows, measured once for a key and then kept.

    Trainings of one key that start together measure together, as they will train; the first to end counts.
    """
    path = options.out / f"pace-{key}.json"
    if not path.exists():
        seconds = pace()
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                path.write_text(json.dumps({"seconds_a_step": seconds}))
    return max(int(options.budget * 60.0 / json.loads(path.read_text())["seconds_a_step"]), 8)


def schedule(section: str, steps: int, seed: int) -> list[str]:
    """Overrides of an optimisation for a short training: warm-up and averaging in proportion to it."""
    values = {
        "steps": steps,
        "steps_per_epoch": max(steps // 8, 1),
        "validate_epochs": 1000,  # scored at the end, in full
        "warmup_steps": max(steps // 15, 1),
        "ema_decay": round(1.0 - min(10.0 / steps, 0.5), 4),
        "seed": seed,
        "workers": 0,
    }
    return [f"{section}.optimisation.{key}={value}" for key, value in values.items()]


def latent_overrides(options: Options, seed: int) -> list[str]:
    """Overrides that say which windows the latent cache holds: as many as suit the budget."""
    windows = round(WINDOWS_A_MINUTE * options.budget)
    section = "denoiser_training"
    return [
        f"{section}.windows={windows}",
        f"{section}.validation_windows=1",
        f"{section}.optimisation.seed={seed}",
    ]


def train_forecast(
    options: Options,
    job: Job,
    folder: Path,
    autoencoder: Path,
    *,
    pace: str,
    latents: Path | None = None,
) -> None:
    """Train a denoiser within the budget.

    Args:
        autoencoder: run of the autoencoder whose latents it learns.
        pace: trainings of one pace take the same number of steps.
        latents: folder of a latent cache that trainings share.
    """
    base = preset_of(options, job.overrides)
    steps = steps_for(options, pace, lambda: denoiser_seconds(base))
    overrides = [
        *job.overrides,
        *schedule("denoiser_training", steps, job.seed),
        *latent_overrides(options, job.seed),
    ]
    train_denoiser(
        preset_of(options, overrides),
        options.paths(TRAIN),
        options.paths(VALIDATION),
        autoencoder,
        folder,
        resume=resumable(folder),
        latents=latents,
    )


def resumable(folder: Path) -> bool:
    """Whether a training was cut short there."""
    return (folder / "last.ckpt").exists()
