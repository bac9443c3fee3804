"""Events left out: what is the shipped model worth on weather that it has not seen?

    python experiments/leave_out.py --steps 500 --windows 6

A fold leaves some products out of the training of the prior; the autoencoder is the shipped one. What was
left out is then forecast and scored beside STEPS. A fold that is trained already, here or by
`experiments/accelerator.py` (--trained), is not trained again.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "src/ssldm/weights/small"
# Archives and what the names of their products begin with.
FOLDS = {
    "fmi-meteoswiss": {"fmi-train": "FMI", "meteoswiss-train": "MeteoSwiss"},
    "knmi-opera": {"knmi-train": "KNMI RAD_NL25", "opera-train": "OPERA"},
    "smhi-bom10": {"smhi-train": "SMHI", "bom-10-minutes-train": "Bias Corrected Radar Accumulation (10"},
    "bom-mrms": {"bom-train": "Bias Corrected Radar Accumulation", "mrms-train": "NOAA MRMS"},
    "beryl-winter": {
        "beryl-train": "Rain classes",
        "knmi-showers-train": "KNMI reflectivity",
        "knmi-winter-train": "KNMI reflectivity",
    },
}
# Others begin with it, too.
_WHOLE = {"Bias Corrected Radar Accumulation"}
SSLDM = (sys.executable, "-m", "ssldm")
LOOKS = ("objects", "object_area", "coherence", "spread_skill", "highest_rank")
LEAD_FRAMES = (4, 8, 12, 16)
_MINUTES, _LONGEST = 5, 16


def left_out(products: Iterable[str], fold: str) -> list[str]:
    """The products of a fold."""
    starts = FOLDS[fold].values()
    return sorted(
        name
        for name in set(products)
        if any(name == start if start in _WHOLE else name.startswith(start) for start in starts)
    )


def run(command: Sequence[object]) -> None:
    """Run a command, which says itself what is wrong."""
    subprocess.run([str(word) for word in command], check=True)


def shared_pack(given: argparse.Namespace) -> Path:
    """The windows of all archives, which all folds are trained from, built unless they are there."""
    pack: Path = given.pack or given.runs / "leave-out" / "train.pack"
    if pack.exists():
        return pack
    from ssldm.cli.progress import over_items
    from ssldm.training.pack import build_pack
    from ssldm.training.preset import load_preset
    from ssldm.training.prior_run import pack_config
    from ssldm.training.series import open_products

    found = [given.runs / "archives" / f"{name}.zarr" for fold in FOLDS.values() for name in fold]
    config = pack_config(load_preset(given.preset, given.overrides))
    build_pack(open_products(found), pack, config, progress=over_items("motion"))
    return pack


def train(given: argparse.Namespace, fold: str, out: Path) -> Path:
    """Train without a fold's products unless it is done; returns the folder of the weights."""
    done = out / "done"
    if given.trained and (given.trained / fold / "model").is_dir():
        return given.trained / fold / "model"
    if not done.exists():
        from ssldm.training.packed_series import read_header

        pack = shared_pack(given)
        products = {each["product"] for each in read_header(pack).series}
        command = [*SSLDM, "train", "prior", "--preset", given.preset, "--autoencoder", given.autoencoder]
        command += ["--pack", pack, "--out", out, *(["--resume"] if (out / "last.ckpt").exists() else [])]
        for product in left_out(products, fold):
            command += ["--without", product]
        section = "prior_training.optimisation"
        command += [f"{section}.steps={given.steps}", f"{section}.steps_per_epoch={max(given.steps // 4, 1)}"]
        run([*command, *given.overrides])
        done.touch()
    return out / "model"


def score(given: argparse.Namespace, archive: Path, model: Path, out: Path) -> dict[str, float]:
    """The model and STEPS on an archive, with as many lead frames as it has, up to 16."""
    from ssldm.training.series import open_series

    frames = min(data.sizes["time"] for data in open_series([archive]))
    command = [*SSLDM, "verify", "--model", f"small={model}", "--data", archive, "--out", out]
    command += ["--baselines", "extrapolation,steps", "--windows", given.windows, "--size", given.size]
    run([*command, "--lead-frames", min(_LONGEST, given.lead_frames, frames - 4)])
    with (out / "scores.csv").open() as file:
        return row_of(list(csv.DictReader(file)))


def row_of(scores: Sequence[dict[str, str]]) -> dict[str, float]:
    """The row of the table, from those of a report."""

    def value(contestant: str, metric: str, lead_frame: int) -> float:
        found = (
            each["value"]
            for each in scores
            if (each["contestant"], each["metric"]) == (contestant, metric)
            and int(each["lead_frame"]) == lead_frame
            and each["scale"] in {"", "1.0"}
        )
        return float(next(found, "") or "nan")

    crps, steps = (value(contestant, "crps", 0) for contestant in ("small", "steps"))
    row = {"CRPS": crps, "STEPS": steps, "ratio": crps / steps}
    for metric in LOOKS:
        for frame in LEAD_FRAMES:
            row[f"{metric} at {frame * _MINUTES}"] = value("small", metric, frame)
    return row


def main() -> None:
    """Train and score every fold, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=500, help="of each training")
    parser.add_argument("--windows", type=int, default=6, help="that each event left out is scored on")
    parser.add_argument("--fold", action="append", choices=FOLDS, help="this fold; may be repeated")
    parser.add_argument("--trained", type=Path, help="folder of priors, FOLD/model, trained elsewhere")
    parser.add_argument("--pack", type=Path, help="windows of all archives, if they are packed already")
    parser.add_argument("--autoencoder", type=Path, default=SHIPPED, help="run or folder of weights")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--size", type=int, default=256, help="side of the scored tiles in pixels")
    parser.add_argument("--lead-frames", type=int, default=_LONGEST, help="most of them to score")
    parser.add_argument("--data", type=Path, default=HERE.parent / "../shared/data", help="radar files")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "runs", help="archives and trainings")
    parser.add_argument("overrides", nargs="*", help="of the preset: key=value")
    given = parser.parse_args()
    run([HERE / "archives.sh", given.data, given.runs])
    archives, runs = given.runs / "archives", given.runs / "leave-out"
    runs.mkdir(parents=True, exist_ok=True)
    rows = {}
    for fold in given.fold or FOLDS:
        model = train(given, fold, runs / f"{fold}-{given.steps}")
        for name in FOLDS[fold]:
            rows[name] = score(given, archives / f"{name}.zarr", model, runs / f"{name}-report")
            write(HERE / "leave_out" / "scores.csv", rows)


def write(path: Path, rows: dict[str, dict[str, float]]) -> None:
    """The table, of what has been scored so far."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["left out", *next(iter(rows.values()))])
        for name, row in rows.items():
            writer.writerow([name, *(round(value, 4) for value in row.values())])


if __name__ == "__main__":
    main()
