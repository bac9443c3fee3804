"""Study 1, coding: does intensity-structure coding keep heavy rain, and does a forecast gain by it?

    python experiments/coding.py --budget 15 --seeds 0,1,2

The same autoencoder, data and number of steps with and without the intensity-structure terms, for the block
autoencoder and, with the first seed, for the published architecture; then a denoiser on each block code of
the first seed, with the same budget.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from results import Row, forecast_rows, publish, write_results
from study import (
    VALIDATION,
    Job,
    Options,
    jobs,
    parse,
    preset_of,
    resumable,
    schedule,
    seconds_a_step,
    steps_for,
    train_all,
    train_forecast,
)
from torch.utils.data import DataLoader

from ssldm.radar.archive import open_archive
from ssldm.training.autoencoder_module import AutoencoderModule
from ssldm.training.autoencoder_weights import MODEL, load_autoencoder
from ssldm.training.frames import FrameDataset
from ssldm.training.preset import Preset
from ssldm.training.run import train_autoencoder
from ssldm.training.series import open_splits
from ssldm.verification.case import Case
from ssldm.verification.intervals import scores_with_intervals
from ssldm.verification.statistics import Protocol, merge, statistics_of
from ssldm.verification.windows import windows

_PLAIN_LOSS = tuple(
    f"autoencoder_training.loss.{term}=0" for term in ("intensity_weight", "structure", "overlap", "spectrum")
)
VARIANTS = {
    "plain": ("autoencoder={kind: block, emphasis: 0, separation: 0}", *_PLAIN_LOSS),
    "intensity_structure": ("autoencoder={kind: block}",),
}
_KL = "autoencoder={kind: kl, channels: 1, width: 32, multipliers: [1, 2, 3], blocks: 1, patch: 2, groups: 8}"
_PUBLISHED = (_KL, "denoiser.merge_net.latent_channels=4", "denoiser_training.turned=false")
PUBLISHED = {"kl_plain": (*_PUBLISHED, *_PLAIN_LOSS), "kl_intensity_structure": _PUBLISHED}
FRAMES = ("knmi-train", "fmi-train", "meteoswiss-train", "smhi-train", "mrms-train")
FRAMES_VALIDATION = (*VALIDATION, "mrms-validation")
DATASETS = {
    "validation": ("smhi-validation", "knmi-validation"),
    "SMHI": ("smhi-validation",),
    "KNMI": ("knmi-validation",),
    "MRMS": ("mrms-validation",),
}
THRESHOLDS = (0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 16.0)
EVERY = 4
# A reconstruction is compared in the third digit: alike on every machine.
_FLOAT32 = "autoencoder_training.optimisation.precision=32-true"
SHOWN = (
    *(
        Row(f"{dataset}: {label}", dataset, metric, threshold, scale)
        for dataset in DATASETS
        for label, metric, threshold, scale in (
            *((f"CSI, {t:g} mm/h", "csi", t, None) for t in THRESHOLDS),
            ("bias, 8 mm/h", "bias", 8.0, None),
            ("strongest rain, error in mm/h", "max_error", None, None),
            *((f"power at {w} pixels", "power_ratio", None, w) for w in (4, 8, 16)),
        )
    ),
    Row("forecast: CRPS, mm/h", "forecast", "crps", None, 1),
    Row("forecast: change of CRPS, mean over windows, %", "forecast", "crps_change", None, 1, digits=1),
    Row("forecast: CSI of members, 8 mm/h", "forecast", "csi", 8.0, 1),
    Row("forecast: CSI of the mean, 8 mm/h", "forecast", "csi_mean", 8.0, 1),
)
DRAWN = tuple(
    row
    for row in SHOWN
    if row.dataset in ("validation", "MRMS")
    and row.metric == "csi"
    and row.threshold in (0.5, 2.0, 8.0, 16.0)
)


def train(options: Options, job: Job, folder: Path) -> None:
    """Train an autoencoder and score its reconstructions."""
    pace = "kl" if job.variant in PUBLISHED else "block"
    overrides = [*job.overrides, _FLOAT32]
    base = preset_of(options, overrides)
    steps = steps_for(options, pace, lambda: autoencoder_pace(options, base))
    overrides += schedule("autoencoder_training", steps, job.seed)
    preset = preset_of(options, overrides)
    if not (folder / "finished").exists():
        train_autoencoder(
            preset,
            options.paths(FRAMES),
            options.paths(FRAMES_VALIDATION),
            folder,
            resume=resumable(folder),
        )
        (folder / "finished").touch()
    rows = reconstruction_rows(options, preset, folder)
    rows.assign(variant=job.variant, seed=job.seed).to_csv(folder / "rows.csv", index=False)


def autoencoder_pace(options: Options, preset: Preset) -> float:
    """Seconds of a training step, with the reading of its crops."""
    training = preset.autoencoder_training
    series, _ = open_splits(options.paths(FRAMES), options.paths(FRAMES_VALIDATION))
    index = preset.window.build_index(series, frames=1, size=training.crop)
    batches = DataLoader(
        FrameDataset(index, preset.scaling, seed=0, length=1000), training.optimisation.batch_size
    )
    module, batch = AutoencoderModule(preset), iter(batches)
    return seconds_a_step(module, lambda: next(batch), training.optimisation, repeats=100)


@torch.inference_mode()
def reconstruct(preset: Preset, network: torch.nn.Module, rate: np.ndarray) -> np.ndarray:
    """Rain rates ``(n, h, w)`` in mm/h after coding and decoding; NaN counts as dry."""
    frames = preset.scaling.to_network(torch.from_numpy(np.nan_to_num(rate)))[:, None]
    image = frames.expand(-1, preset.autoencoder.channels, -1, -1)
    decoded = network.decode(network.encode(image)[0]).mean(dim=1)
    return preset.scaling.to_rate(decoded).numpy()


def reconstruction_rows(options: Options, preset: Preset, folder: Path) -> pd.DataFrame:
    """Scores of reconstructed frames; intervals are over hours and tiles."""
    _, network = load_autoencoder(folder / MODEL)
    archives = {name for names in DATASETS.values() for name in names}
    statistics = {
        name: reconstruction_statistics(options, preset, network, name) for name in sorted(archives)
    }
    tables = []
    for dataset, names in DATASETS.items():
        events = [event for name in names for event in statistics[name].values()]
        sums = xr.concat([merge(parts) for parts in events], dim="event")
        scores = scores_with_intervals({"it": sums})["it"]
        tables.append(reconstruction_table(scores).assign(dataset=dataset, n=sum(map(len, events))))
    return pd.concat(tables)


Event = tuple[int, str, int, int]


def reconstruction_statistics(
    options: Options, preset: Preset, network: torch.nn.Module, archive: str
) -> dict[Event, list[xr.Dataset]]:
    """Statistics of every reconstructed frame of an archive, by series, hour and tile."""
    protocol = Protocol(thresholds=THRESHOLDS, pools=(1,), scales=(1,))
    series = open_archive(options.archives / f"{archive}.zarr")
    events: dict[Event, list[xr.Dataset]] = {}
    for window in windows(series, frames=1, size=preset.window.size, every=EVERY):
        data = window.of(series, 1).load()
        case = Case.of(reconstruct(preset, network, data.values)[None], data.values)
        hour = np.datetime_as_string(data["time"].values[0], unit="h")
        event = (window.series, str(hour), window.rows[0], window.columns[0])
        part = statistics_of(case, protocol, np.random.default_rng(0)).sum("lead_time")
        events.setdefault(event, []).append(part)
    return events


def reconstruction_table(scores: xr.Dataset) -> pd.DataFrame:
    """The scores that the study asks for, one a row."""
    parts = []
    for metric in ("csi", "bias", "max_error", "power_ratio", "mae"):
        values = scores[metric].sel(pool=1) if "pool" in scores[metric].dims else scores[metric]
        if metric == "power_ratio":
            values = values.sel(wavelength=slice(3.9, 16.1)).rename(wavelength="scale")
        # A dimension more, as a table needs one.
        frame = values.expand_dims("row").to_dataset("estimate").to_dataframe().reset_index()
        parts.append(frame.assign(metric=metric))
    return pd.concat(parts)


def train_downstream(options: Options, job: Job, folder: Path) -> None:
    """Train a denoiser on the code of an autoencoder of the study."""
    coded = options.out / job.name.removeprefix("forecast-")
    train_forecast(options, job, folder, coded, pace="denoiser")


def main() -> None:
    """Run the study."""
    options, _ = parse("coding", __doc__, budget=15.0, seeds="0,1,2")
    codes = [*jobs(VARIANTS, options.seeds), *jobs(PUBLISHED, options.seeds[:1])]
    train_all(options, codes, train)
    rows = [pd.read_csv(options.out / job.name / "rows.csv") for job in codes]
    downstream = [
        Job(f"forecast-{variant}", overrides[:1], options.seeds[0]) for variant, overrides in VARIANTS.items()
    ]
    train_all(options, downstream, train_downstream)
    models = {job.name.removeprefix("forecast-"): options.out / job.name / MODEL for job in downstream}
    rows.append(forecast_rows(options, models, reference="plain"))
    table = write_results(options, pd.concat(rows))
    publish(options, table, [*VARIANTS, *PUBLISHED], SHOWN, DRAWN)


if __name__ == "__main__":
    main()
