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


def storm_model(levels: int, width: int):  # noqa: ANN201
    """The shipped autoencoder with a fresh prior."""
    from ssldm.model.storm_model import StormConfig

    config = json.loads((WEIGHTS / "config.json").read_text())
    model = StormConfig(
        name="small", scaling=config["scaling"], autoencoder=config["autoencoder"],
        prior={"levels": levels, "width": width},
    ).build()  # fmt: skip
    state = load_file(WEIGHTS / "model.safetensors")
    coder = {name.removeprefix("autoencoder."): v for name, v in state.items() if name.startswith("autoencoder.")}
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

    torch.set_num_threads(2)
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
    begun = time.monotonic()
    train_prior(
        storm_model(given.levels, given.width), config, given.pack, given.out,
        without=left_out(products, given.fold), device=device,
    )  # fmt: skip
    print(given.out.name, "trained in", round(time.monotonic() - begun), "s", flush=True)
    if device.type == "cuda":
        print("peak GiB", torch.cuda.max_memory_allocated() / 2**30, flush=True)


def main() -> None:
    """One training, or all of them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", choices=FOLDS, default="all")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--levels", type=int, default=0)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--texture", type=float, default=5.0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
