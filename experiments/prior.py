"""Train the prior of the shipped model from a pack, and once without each event: for an accelerator.

    python experiments/prior.py PACK OUT --minutes 8

Trains all of it in processes side by side, with as many steps as the minutes allow, and prints the scores on what
was left out. Needs PyTorch, Lightning and pydantic; neither radar files nor pysteps.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import lightning
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))
WEIGHTS = HERE.parent / "src/ssldm/weights/small"
FOLDS = {
    "all": (),
    "fmi-meteoswiss": ("FMI", "MeteoSwiss"),
    "knmi-opera": ("KNMI RAD_NL25", "OPERA"),
    "smhi-bom10": ("SMHI", "Bias Corrected Radar Accumulation (10"),
    "bom-mrms": ("Bias Corrected Radar Accumulation", "NOAA MRMS"),
    "beryl-winter": ("Rain classes", "KNMI reflectivity"),
}
EXACT = {"Bias Corrected Radar Accumulation"}


class Stopwatch(lightning.Callback):
    """Seconds a step, of the second half of a training."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        """One more step is done."""
        self.times.append(time.monotonic())

    @property
    def pace(self) -> float:
        """Mean of the second half."""
        half = len(self.times) // 2
        return (self.times[-1] - self.times[half]) / max(len(self.times) - 1 - half, 1)


def storm_model(levels: int, width: int):  # noqa: ANN201
    """The shipped autoencoder with a fresh prior."""
    from ssldm.model.storm_model import StormConfig

    config = json.loads((WEIGHTS / "config.json").read_text())
    model = StormConfig(
        name="small", scaling=config["scaling"], autoencoder=config["autoencoder"],
        prior={"levels": levels, "width": width},
    ).build()  # fmt: skip
    state = load_file(WEIGHTS / "model.safetensors")
    coder = {
        name.removeprefix("autoencoder."): v for name, v in state.items() if name.startswith("autoencoder.")
    }
    model.autoencoder.load_state_dict(coder)
    model.latent_std.copy_(state["latent_std"])
    return model


def left_out(products: set[str], fold: str) -> list[str]:
    """The products of a fold."""
    return [
        name
        for name in products
        for start in FOLDS[fold]
        if (name == start if start in EXACT else name.startswith(start))
    ]


def train(given: argparse.Namespace) -> None:
    """One training, in this process."""
    from ssldm.training.packed_series import read_pack
    from ssldm.training.prior_preset import PriorTraining
    from ssldm.training.prior_run import train_prior

    torch.set_num_threads(given.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    products = {each.product for each in read_pack(given.pack)}
    config = PriorTraining(
        texture=given.texture,
        optimisation={
            "steps": given.steps, "steps_per_epoch": max(given.steps // 4, 1), "validate_epochs": 2,
            "batch_size": given.batch, "learning_rate": given.rate, "warmup_steps": min(100, given.steps // 4),
            "ema_decay": 0.995, "precision": "32-true",
        },
    )  # fmt: skip
    stopwatch = Stopwatch()
    train_prior(
        storm_model(given.levels, given.width), config, given.pack, given.out,
        without=left_out(products, given.fold), device=device, callbacks=[stopwatch],
    )  # fmt: skip
    (given.out / "pace").write_text(str(stopwatch.pace))
    print(given.out.name, f"{stopwatch.pace:.4f} s a step", flush=True)
    if device.type == "cuda":
        print("peak GiB", torch.cuda.max_memory_allocated() / 2**30, flush=True)


def side_by_side(given: argparse.Namespace) -> None:
    """Every fold and all of it, for each network, in the minutes given."""
    begun = time.monotonic()
    probe = [sys.executable, __file__, given.pack, given.out / "probe", "--steps", "40", "--levels", "2"]
    subprocess.run([str(word) for word in probe], check=True)
    pace = float((given.out / "probe" / "pace").read_text())
    left = 60.0 * given.minutes - (time.monotonic() - begun)
    steps = int(0.85 * left / pace)
    print(f"{pace:.4f} s a step, {steps} steps in {left:.0f} s", flush=True)
    chains = []
    for levels, rate in ((0, 2e-3), (2, 1.5e-3)):
        chains.append([("all", levels, rate, 0.22)])
        folds = [fold for fold in FOLDS if fold != "all"]
        chains += [[(fold, levels, rate, 0.056) for fold in part] for part in (folds[:3], folds[3:])]
    processes = []
    for chain in chains:
        commands = []
        for fold, levels, rate, share in chain:
            out = given.out / f"{fold}-{levels}"
            commands.append(
                f"{sys.executable} {__file__} {given.pack} {out} --fold {fold} --levels {levels} --rate {rate} "
                f"--steps {max(int(steps * share), 4)} > {out}.log 2>&1"
            )
        within = ["timeout", str(int(left)), "bash", "-c", "; ".join(commands)]
        processes.append(subprocess.Popen(within))
    for process in processes:
        process.wait()
    for log in sorted(given.out.glob("*/log/*/metrics.csv")):
        lines = log.read_text().splitlines()
        print(log.parent.parent.parent.name, lines[0], flush=True)
        print(chr(10).join(line for line in lines[-6:]), flush=True)


def main() -> None:
    """One training, or all of them side by side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, help="train everything in so long")
    parser.add_argument("--fold", choices=FOLDS, default="all")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--levels", type=int, default=0)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--texture", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.minutes:
        side_by_side(given)
    else:
        train(given)


if __name__ == "__main__":
    main()
