"""Validation CRPS against hours of training, next to STEPS, LINDA and extrapolation on the same windows.

    experiments/training_curve.py RUN [LATENTS] [--out FIGURE]

All scores are fair CRPS, as `ssldm train` logs them. Those of the baselines are kept in RUN/baselines.json;
LINDA takes some half an hour of one core.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import default_collate

from ssldm.nowcast.nowcaster import Nowcaster
from ssldm.training.latent_cache import LatentCache
from ssldm.training.validation_score import ValidationScore
from ssldm.verification.baselines import BASELINES, BaselineName, Setting

METHODS: tuple[BaselineName, ...] = ("extrapolation", "steps", "linda")
MEMBERS = 20
PAUSE = 300.0  # seconds between two logged losses, from which on a run was interrupted
LABELS = {
    "extrapolation": "extrapolation (absolute error)",
    "steps": "STEPS",
    "linda": "LINDA",
}


def baseline_score(method: BaselineName, model: Path, latents: Path) -> float:
    """CRPS in mm/h on the windows of the validation cache, fair where the baseline is an ensemble."""
    config = (nowcaster := Nowcaster.from_pretrained(model, device="cpu")).config
    score, cache = ValidationScore(nowcaster.model), LatentCache(latents / "validation")
    for n in range(len(cache)):
        batch = default_collate([cache[n]])
        setting = Setting(
            batch["rate"][0, : config.context_frames].float().numpy(),
            lead_frames=config.lead_frames,
            members=MEMBERS,
            seed=n,
            step_minutes=config.step_minutes,
            pixel_km=config.pixel_size[0] / 1000.0,
        )
        score.add(batch, np.nan_to_num(BASELINES[method](setting), nan=0.0))
    return score.values()["validation/crps"]


def baseline_scores(run: Path, latents: Path) -> dict[str, float]:
    """CRPS of each method, computed once."""
    kept = run / "baselines.json"
    if not kept.exists():
        with ProcessPoolExecutor(max_workers=2) as pool:
            jobs = {name: pool.submit(baseline_score, name, run / "model", latents) for name in METHODS}
            scores = {name: job.result() for name, job in jobs.items()}
        kept.write_text(json.dumps(scores))
    return dict(json.loads(kept.read_text()))


def curve(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Hours spent on a training, without those between its sittings, and the CRPS that it logged."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    times = np.array([event.wall_time for event in events.Scalars("train/loss")])
    pauses = np.diff(times, prepend=times[0])
    hours = np.where(pauses > PAUSE, 0.0, pauses).cumsum() / 3600.0
    logged = events.Scalars("validation/crps")
    places = np.searchsorted(times, [event.wall_time for event in logged], side="right") - 1
    return hours[places], np.array([event.value for event in logged])


def draw(run: Path, scores: dict[str, float]) -> Figure:
    """The figure."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axis = figure.add_subplot()
    spent = 0.0
    for folder, label in ((run / "residual", "noise around the expectation"), (run, "and the denoiser")):
        hours, crps = curve(folder)
        axis.plot(spent + hours, crps, marker="o", markersize=3, label=label)
        spent += hours[-1]
    for (name, score), style in zip(scores.items(), (":", "--", "-."), strict=True):
        axis.axhline(score, color="0.4", linestyle=style, label=LABELS[name])
    axis.set(xlabel="hours of training", ylabel="fair CRPS on validation windows, mm/h", ylim=0)
    axis.set_xlim(left=0.0)
    axis.legend()
    return figure


def main() -> None:
    """Score what is not scored yet, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="of `ssldm train denoiser`")
    parser.add_argument("latents", type=Path, nargs="?", help="folder of its latent cache")
    figure = Path(__file__).parent.parent / "docs" / "images" / "training.png"
    parser.add_argument("--out", type=Path, default=figure)
    options = parser.parse_args()
    scores = baseline_scores(options.run, options.latents or options.run / "latents")
    draw(options.run, scores).savefig(options.out, dpi=120)


if __name__ == "__main__":
    main()
