"""Train the prior of the shipped model from a pack, and once without each event: for an accelerator.

    python experiments/accelerator.py runs/small-prior/train.pack OUT --minutes 8

Trains all of it in processes side by side, with as many steps as the minutes allow, and prints the scores on
what was left out; `experiments/leave_out.py --trained OUT` then forecasts with these. Neither radar files nor
pysteps are needed. Elsewhere `ssldm train prior --pack` does the same, one training at a time.
"""

import argparse
import subprocess
import sys
import time
import tomllib
from importlib.resources import files
from pathlib import Path

import lightning
import torch
import yaml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from leave_out import FOLDS, SHIPPED, left_out  # noqa: E402


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


def storm_model(autoencoder: Path, width: int, postprocess: list[dict[str, float]]):  # noqa: ANN201
    """The autoencoder of some weights with a fresh prior, and the deviation of latents where it is known."""
    from ssldm.model.storm_model import StormConfig
    from ssldm.training.autoencoder_weights import load_coded

    coded = load_coded(autoencoder)
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    versions = {"ssldm": project["version"], "torch": torch.__version__}
    model = StormConfig(
        name="small", scaling=coded.config.scaling, autoencoder=coded.config.autoencoder,
        prior={"width": width}, postprocess=postprocess, versions=versions,
    ).build()  # fmt: skip
    model.autoencoder.load_state_dict(coded.network.state_dict())
    return model, coded.latent_std


def train(given: argparse.Namespace) -> None:
    """One training, in this process; goes on where it was stopped."""
    from ssldm.training.packed_series import read_pack
    from ssldm.training.prior_fit import fit_prior, measure_latents, prior_windows, trained_on
    from ssldm.training.prior_preset import PriorTraining

    torch.set_num_threads(given.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    series = read_pack(given.pack)
    without = left_out((each.product for each in series), given.fold) if given.fold in FOLDS else []
    preset = files("ssldm") / "presets" / "small.yaml"
    given_by_preset = yaml.safe_load(preset.read_text())
    numbers = given_by_preset["prior_training"]
    steps = given.steps or numbers["optimisation"]["steps"]
    numbers["optimisation"] |= {
        "steps": steps, "steps_per_epoch": max(steps // 4, 1),
        "warmup_steps": min(numbers["optimisation"]["warmup_steps"], steps // 4),
    }  # fmt: skip
    config = PriorTraining.model_validate(numbers)
    lightning.seed_everything(config.optimisation.seed, verbose=False)
    model, latent_std = storm_model(given.autoencoder, given.width, given_by_preset["postprocess"])
    kept = [each for each in series if each.product not in without]
    model.config = model.config.model_copy(update=trained_on(kept, config.coarsenings))
    windows = prior_windows(model.to(device), config, series, without, device)
    if latent_std is None:
        measure_latents(model, windows.train, config.optimisation.seed)
    else:
        model.latent_std.copy_(latent_std)
    stopwatch = Stopwatch()
    resume = (given.out / "last.ckpt").exists()
    fit_prior(model, config, windows, given.out, resume=resume, callbacks=[stopwatch])
    if stopwatch.times:
        (given.out / "pace").write_text(str(stopwatch.pace))
        print(given.out.name, f"{stopwatch.pace:.4f} s a step", flush=True)
    if device.type == "cuda":
        print("peak GiB", torch.cuda.max_memory_allocated() / 2**30, flush=True)


def side_by_side(given: argparse.Namespace) -> None:
    """Every fold and all of it, for each network, in the minutes given."""
    begun = time.monotonic()
    shared = f"--width {given.width} --autoencoder {given.autoencoder}"
    command = f"{sys.executable} {__file__} {given.pack} {{out}} --fold {{fold}} --steps {{steps}} {shared}"
    probe = command.format(out=given.out / "probe", fold="all", steps=given.probe_steps)
    subprocess.run(probe.split(), check=True)
    pace = float((given.out / "probe" / "pace").read_text())
    left = 60.0 * given.minutes - (time.monotonic() - begun)
    steps = int(0.85 * left / pace)
    print(f"{pace:.4f} s a step, {steps} steps in {left:.0f} s", flush=True)
    folds = list(FOLDS)
    chains = [[("all", 0.45)], *([(fold, 0.11) for fold in part] for part in (folds[:3], folds[3:]))]
    processes = []
    for chain in chains:
        commands = []
        for fold, share in chain:
            out = given.out / fold
            once = command.format(out=out, fold=fold, steps=max(int(steps * share), 4))
            commands.append(f"{once} > {out}.log 2>&1")
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
    parser.add_argument("--probe-steps", type=int, default=40, help="to find the pace by")
    parser.add_argument("--fold", choices=["all", *FOLDS], default="all", help="what to leave out")
    parser.add_argument("--steps", type=int, help="default: those of preset small")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--autoencoder", type=Path, default=SHIPPED, help="run or folder of weights")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.minutes:
        side_by_side(given)
    else:
        train(given)


if __name__ == "__main__":
    main()
