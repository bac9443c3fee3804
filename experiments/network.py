"""Study 2, network: what do the parts of the STC block bring, at equal parameters and equal training time?

    python experiments/network.py --budget 15 --seeds 0

All denoisers learn the same latents; parameters agree within 5%.
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


def variants(options: Options) -> dict[str, tuple[str, ...]]:
    """Overrides of each network; widths where parts that are left out would make it smaller."""
    base = preset_of(options)
    merge_net = base.denoiser.merge_net.model_dump_json()
    stacked = f"{{kind: stacked, merge_net: {merge_net}, lead_frames: {base.window.lead_frames}, gated: true"
    return {
        "full": (),
        "no_shift": ("denoiser.shift_fraction=0",),
        "no_temporal_attention": ("denoiser.cascade=[spatial, spatial, spatial]",),
        "one_spatial_attention": ("denoiser.cascade=[spatial]", "denoiser.width=68", "denoiser.groups=4"),
        "joint_attention": ("denoiser.cascade=[joint]", "denoiser.width=68", "denoiser.groups=4"),
        # One pass for all lead frames has time for every latent pixel: none are folded.
        "stacked": (f"denoiser={stacked}, width: 60, multipliers: [1, 2, 2], patch: 1, groups: 4}}",),
    }


def train(autoencoder: Path, options: Options, job: Job, folder: Path) -> None:
    """Train one network for the budget."""
    shared = options.out / f"latents-{job.seed}"
    train_forecast(options, job, folder, autoencoder, pace=job.variant, latents=shared)


def main() -> None:
    """Run the study."""
    options, given = parse("network", __doc__, budget=15.0, seeds="0", needs_autoencoder=True)
    for seed in options.seeds:
        preset = preset_of(options, latent_overrides(options, seed))
        archives = options.paths(TRAIN), options.paths(VALIDATION)
        latents_of(preset, *archives, given.autoencoder, options.out / f"latents-{seed}").caches()
    todo = jobs(variants(options), options.seeds)
    train_all(options, todo, partial(train, given.autoencoder))
    models = {job.name: options.out / job.name / MODEL for job in todo}
    rows = [forecast_rows(options, models, reference="full"), cost_rows(options, todo)]
    table = write_results(options, pd.concat(rows))
    publish(options, table, list(variants(options)), (*FORECAST_ROWS, *COST_ROWS), FORECAST_ROWS)


if __name__ == "__main__":
    main()
