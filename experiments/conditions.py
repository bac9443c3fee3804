"""Study 3, conditions: what should the denoiser be told, and for how long should it look back?

    python experiments/conditions.py --budget 15 --seeds 0

The same network with each variant of the merge net, and the best with two and six context frames.
"""

from functools import partial
from pathlib import Path

import pandas as pd
from results import COST_ROWS, FORECAST_ROWS, cost_rows, forecast_rows, publish, write_results
from study import (
    TRAIN,
    VALIDATION,
    Job,
    Options,
    jobs,
    latent_overrides,
    parse,
    preset_of,
    train_all,
    train_forecast,
)

from ssldm.training.autoencoder_weights import MODEL
from ssldm.training.latents import latents_of

_STILL, _MOVED = ("denoiser.merge_net.extrapolation=false",), ("denoiser.merge_net.extrapolation=true",)
# As narrow as the rest of `small`: the published one (64, eight heads) takes nine tenths of a training step.
_ENCODER = (
    "denoiser.merge_net.pixels=encoder",
    "denoiser.merge_net.encoder_width=32",
    "denoiser.merge_net.encoder_heads=2",
)
VARIANTS = {
    "latent_only": _STILL,
    "downsampled": (*_STILL, "denoiser.merge_net.pixels=downsampled"),
    "pixel_encoder": (*_STILL, *_ENCODER),
    "extrapolated": _MOVED,
    "extrapolated_downsampled": (*_MOVED, "denoiser.merge_net.pixels=downsampled"),
    "extrapolated_encoder": (*_MOVED, *_ENCODER),
    "context_2": (*_MOVED, "window.context_frames=2", "denoiser.merge_net.context_frames=2"),
    "context_6": (*_MOVED, "window.context_frames=6", "denoiser.merge_net.context_frames=6"),
}


def latents(options: Options, job: Job) -> Path:
    """The latent cache that a training shares with others of its context and seed."""
    context = preset_of(options, job.overrides).window.context_frames
    return options.out / f"latents-{job.seed}-{context}"


def train(autoencoder: Path, options: Options, job: Job, folder: Path) -> None:
    """Train one variant for the budget."""
    kept = Job(job.variant, (*job.overrides, "denoiser_training.keep_pixels=true"), job.seed)
    train_forecast(options, kept, folder, autoencoder, pace=job.variant, latents=latents(options, job))


def main() -> None:
    """Run the study."""
    options, given = parse("conditions", __doc__, budget=15.0, seeds="0", needs_autoencoder=True)
    todo = jobs(VARIANTS, options.seeds)
    for folder, job in {latents(options, job): job for job in todo}.items():
        overrides = [*job.overrides, *latent_overrides(options, job.seed)]
        preset = preset_of(options, [*overrides, "denoiser_training.keep_pixels=true"])
        archives = options.paths(TRAIN), options.paths(VALIDATION)
        latents_of(preset, *archives, given.autoencoder, folder).caches()
    train_all(options, todo, partial(train, given.autoencoder))
    models = {job.name: options.out / job.name / MODEL for job in todo}
    rows = [forecast_rows(options, models, reference="extrapolated"), cost_rows(options, todo)]
    table = write_results(options, pd.concat(rows))
    publish(options, table, list(VARIANTS), (*FORECAST_ROWS, *COST_ROWS), FORECAST_ROWS)


if __name__ == "__main__":
    main()
