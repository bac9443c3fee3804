"""Events left out: what is the preset worth on weather that it has not seen?

    python experiments/leave_out.py --windows 800 --steps 800

Two archives of the training data are left out at a time. The network of the residual target, which brings
most of the skill and is quick to train, learns from windows of all others. What was left out is then forecast
with noise alone around what it expects, and with all that comes after sampling. So these are bounds: no
denoiser, fewer windows and steps than the shipped weights have seen. The autoencoder is theirs.
"""

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from study import HERE, TRAIN, VALIDATION, Options, one_thread, resumable, schedule, shipped_autoencoder

from ssldm.training.autoencoder_weights import MODEL
from ssldm.training.latent_cache import LatentCache
from ssldm.training.latents import Latents, build_latents
from ssldm.training.preset import Preset, load_preset
from ssldm.training.run import prepare_target
from ssldm.training.series import open_series

FOLDS = (
    ("fmi-train", "meteoswiss-train"),
    ("knmi-train", "opera-train"),
    ("smhi-train", "bom-10-minutes-train"),
    ("bom-train", "mrms-train"),
)


class _Rows:
    """Some rows of an array on disk, read when asked for."""

    def __init__(self, array: NDArray[Any], rows: NDArray[np.intp]) -> None:
        self.array, self.rows = array, rows
        self.shape = (len(rows), *array.shape[1:])

    def __getitem__(self, n: int) -> Any:
        return self.array[self.rows[n]]


class _Without(LatentCache):
    """A latent cache without some products."""

    def __init__(self, cache: LatentCache, products: Sequence[int]) -> None:
        rows = np.flatnonzero(~np.isin(cache.arrays["product"], products))
        arrays: dict[str, Any] = {
            name: array[rows] if array.ndim == 1 else _Rows(array, rows)
            for name, array in cache.arrays.items()
        }
        self.arrays = arrays
        self.length = len(rows)


def train(preset: Preset, latents: Latents, products: Sequence[int], out: Path) -> None:
    """Train the small network alone without some products; `out/model` leaves its denoiser unused."""
    model = latents.model.config.model_copy(update={"guidance": 0.0}).build()
    model.load_state_dict(latents.model.state_dict())
    others = Latents(model, _Without(latents.train, products), latents.validation)
    prepare_target(preset, others, out, resume=resumable(out))


def score(archive: Path, model: Path, out: Path, windows: int) -> dict[str, float]:
    """Noise alone and STEPS on an event, with as many lead frames as it has, up to 16."""
    frames = min(data.sizes["time"] for data in open_series([archive]))
    command = ["ssldm", "verify", "--model", f"small={model}", "--data", archive, "--out", out]
    command += ["--baselines", "extrapolation,steps", "--windows", windows]
    command += ["--lead-frames", min(16, frames - 4)]
    subprocess.run([str(word) for word in command], check=True)
    scores = pd.read_csv(out / "scores.csv")
    overall = (scores.metric == "crps") & (scores.lead_frame == 0) & (scores.scale == 1)
    crps = scores[overall].set_index("contestant")["value"]
    return {
        "CRPS": crps["small"],
        "STEPS": crps["steps"],
        "of STEPS's": crps["small"] / crps["steps"],
        "of extrapolation's": crps["small"] / crps["extrapolation"],
    }


def main() -> None:
    """Train and score every fold that is not there yet, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=800, help="of all archives together")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--score-windows", type=int, default=6, help="of each event left out")
    parser.add_argument("--data", type=Path, default=HERE.parent / "../shared/data", help="radar files")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs", help="archives and trainings")
    given = parser.parse_args()
    subprocess.run([HERE / "archives.sh", given.data, given.runs], check=True)
    options = Options(
        budget=0.0, seeds=(0,), archives=given.runs / "archives", out=given.runs / "leave-out",
        results=HERE / "leave_out", workers=1, preset="small",
    )  # fmt: skip
    windows = (f"denoiser_training.windows={given.windows}", "denoiser_training.validation_windows=1")
    preset = load_preset("small", (*windows, *schedule("residual_training", given.steps, 0)))
    one_thread()
    latents = build_latents(
        preset,
        options.paths(TRAIN),
        options.paths(VALIDATION),
        shipped_autoencoder(options),
        options.out / "latents",
    )
    product = {name: _product(options, name) for name in TRAIN}
    numbers = {name: number for number, name in enumerate(sorted(product, key=product.__getitem__))}
    rows = {}
    for fold in FOLDS:
        run = options.out / "+".join(fold)
        train(preset, latents, [numbers[name] for name in fold], run)
        for name in fold:
            (archive,) = options.paths([name])
            rows[name] = score(archive, run / MODEL, options.out / f"{name}-report", given.score_windows)
    options.results.mkdir(exist_ok=True)
    pd.DataFrame(rows).T.round(4).to_csv(options.results / "scores.csv", index_label="left out")


def _product(options: Options, name: str) -> str:
    """Of an archive; windows are numbered by their products in the order of the alphabet."""
    (product,) = {str(data.attrs["product"]) for data in open_series(options.paths([name]))}
    return product


if __name__ == "__main__":
    main()
