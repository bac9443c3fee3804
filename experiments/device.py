"""How long the stages of a forecast take on this machine, from contexts and motions that lie in a file.

    python experiments/device.py CONTEXTS.npz --model runs/small-prior/model --members 20

The file holds, for each name, ``NAME_rate (4, h, w)`` in mm/h and ``NAME_motions (2, 2, h', w')`` at every
sixteenth pixel: what the motion search on the CPU leaves. On an accelerator nothing may wait for the device
in the loop over members; PyTorch raises an error if it does. Where pysteps is installed,
`experiments/bench.py --only stages --device cuda` times a whole forecast.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

from ssldm.forecast.speckle import remove_speckle  # noqa: E402
from ssldm.forecast.storm_ensemble import StormEnsemble  # noqa: E402
from ssldm.forecast.weights_folder import load_weights, read_config  # noqa: E402
from ssldm.model.storm_model import StormConfig  # noqa: E402

SHIPPED = HERE.parent / "src/ssldm/weights/small"


class Stages:
    """Seconds of each stage."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        begun = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds[name] = round(time.perf_counter() - begun, 4)


def forecast(model, rate, coarse, members, device):  # noqa: ANN001, ANN201
    """Seconds of each stage, and the members on the CPU."""
    stage = Stages(device)
    with stage("conditions and expectation"):
        ensemble = StormEnsemble(model, remove_speckle(torch.from_numpy(rate)).numpy(), 16, coarse)
    with stage(f"{members} members"):
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        made = [ensemble.pair_on_device(number, seed=0) for number in range(-(-members // 2))]
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    with stage("to the host"):
        made = [pair.cpu() for pair in made]
    return stage.seconds, made


def main() -> None:
    """Each context three times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("contexts", type=Path)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of weights (default: small)")
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = read_config(given.model, StormConfig).build()
    load_weights(model, given.model)
    model = model.to(device).eval().requires_grad_(False)
    contexts = np.load(given.contexts)
    for name in sorted({key.rsplit("_", 1)[0] for key in contexts.files}):
        rate, coarse = (
            contexts[f"{name}_rate"].astype(np.float32),
            contexts[f"{name}_motions"].astype(np.float32),
        )
        for _ in range(given.repeat):
            seconds, _ = forecast(model, rate, coarse, given.members, device)
            print(json.dumps({"name": name, "shape": rate.shape, **seconds}), flush=True)
        if device.type == "cuda":
            print("peak GiB", torch.cuda.max_memory_allocated() / 2**30, flush=True)


if __name__ == "__main__":
    main()
