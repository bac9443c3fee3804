"""Validation CRPS against hours of training, next to STEPS, LINDA and extrapolation on the same windows.

    experiments/training_curve.py RUN [LATENTS] [--out FIGURE]

All scores are fair CRPS over the absolute error of the extrapolation on the same pixels: those that
`ssldm train` logs are of what the extrapolation covers, those of a baseline of what it forecasts, which is
less. The baselines' are kept in RUN/baselines.json; LINDA takes some quarter of an hour of one core.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ssldm.forecast.nowcaster import Nowcaster
from ssldm.radar.isolation import process_pool
from ssldm.training.latent_cache import LatentCache
from ssldm.verification.baselines import BASELINES, BaselineName, Setting
from ssldm.verification.crps import crps_ensemble

LABELS: dict[BaselineName, str] = {"steps": "STEPS", "linda": "LINDA"}
MEMBERS = 20
PAUSE = 300.0  # seconds between two logged losses, from which on a run was interrupted


def baseline_score(method: BaselineName, model: Path, latents: Path) -> float:
    """CRPS of an ensemble over the error of the extrapolation, on the windows of the validation cache."""
    config = Nowcaster.from_pretrained(model, device="cpu").config
    cache, sums = LatentCache(latents / "validation"), np.zeros(2)
    for n in range(len(cache)):
        rate = cache[n]["rate"].numpy()
        setting = Setting(
            rate[: config.context_frames],
            lead_frames=config.lead_frames,
            members=MEMBERS,
            seed=n,
            step_minutes=config.step_minutes,
            pixel_km=1.0,  # the cache does not know; only perturbations of the motion depend on it
        )
        observed, (moved,) = rate[config.context_frames :], BASELINES["extrapolation"](setting)
        members = BASELINES[method](setting)
        valid = np.isfinite(observed) & np.isfinite(moved) & np.isfinite(members).all(axis=0)
        crps = crps_ensemble(members, observed, fair=True)
        sums += float(crps[valid].sum()), float(np.abs(moved - observed)[valid].sum())
    return float(sums[0] / sums[1])


def baseline_scores(run: Path, latents: Path) -> dict[str, float]:
    """Those of all methods, computed once."""
    kept = run / "baselines.json"
    if not kept.exists():
        with process_pool(len(LABELS)) as pool:
            jobs = {name: pool.submit(baseline_score, name, run / "model", latents) for name in LABELS}
            scores = {name: job.result() for name, job in jobs.items()}
        kept.write_text(json.dumps(scores))
    return dict(json.loads(kept.read_text()))


def curve(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Hours spent on a training, without those between its sittings, and the scores that it logged."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    times = np.array([event.wall_time for event in events.Scalars("train/loss")])
    pauses = np.diff(times, prepend=times[0])
    hours = np.where(pauses > PAUSE, 0.0, pauses).cumsum() / 3600.0
    logged = events.Scalars("validation/crps")
    places = np.searchsorted(times, [event.wall_time for event in logged], side="right") - 1
    errors = [event.value for event in events.Scalars("validation/extrapolation_mae")]
    return hours[places], np.array([event.value for event in logged]) / errors


def draw(run: Path, scores: dict[str, float]) -> Figure:
    """The figure."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axis = figure.add_subplot()
    spent = 0.0
    for folder, label in ((run / "residual", "noise around the expectation"), (run, "and the denoiser")):
        hours, crps = curve(folder)
        axis.plot(spent + hours, crps, marker="o", markersize=3, label=label)
        spent += hours[-1]
    axis.axhline(1.0, color="0.4", linestyle=":", label="extrapolation")
    for (name, label), style in zip(LABELS.items(), ("--", "-."), strict=True):
        axis.axhline(scores[name], color="0.4", linestyle=style, label=label)
    axis.set(
        xlabel="hours of training", ylabel="fair CRPS / error of the extrapolation", xlim=0, ylim=(0.5, 1.05)
    )
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
