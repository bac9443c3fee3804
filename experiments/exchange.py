"""What a process of a distributed training computes in a step, needs for it, and sends to the others.

    python experiments/exchange.py paper paper-small

One training step of a preset's denoiser (loss, gradients, AdamW, averaged weights) on one window of noise, in
float32 on CPUs, each preset in a process of its own. Prints a table in Markdown: parameters, memory at its
peak, arithmetic of the step, seconds, and the gradients' bytes, of which each of n processes in a ring sends
2 (n - 1) / n.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn
from torch.utils.flop_counter import FlopCounterMode

from ssldm.diffusion.objective import diffusion_loss
from ssldm.paper.merge_net import Condition
from ssldm.training.optimisation import configure_optimiser
from ssldm.training.preset import Preset, load_preset

COLUMNS = (
    "preset",
    "parameters (M)",
    "peak memory (GiB)",
    "arithmetic of a window (TFLOP)",
    "seconds",
    "gradients (GB)",
    "kFLOP a byte",
)


def condition_of(preset: Preset, generator: torch.Generator) -> Condition:
    """The condition of one window, of noise."""
    window = preset.window
    channels, side = preset.autoencoder.latent_channels, window.size // preset.autoencoder.stride

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn((1, *shape), generator=generator)

    return Condition(
        context_latent=noise(window.context_frames, channels, side, side),
        context_pixels=noise(window.context_frames, 1, window.size, window.size),
        extrapolated_latent=noise(window.lead_frames, channels, side, side),
        extrapolated_coverage=torch.ones(1, window.lead_frames, 1, side, side),
    )


def measure(name: str) -> dict[str, float | str]:
    """The row of a preset."""
    torch.manual_seed(0)
    preset, generator = load_preset(name), torch.Generator().manual_seed(0)
    denoiser, condition = preset.denoiser.build(), condition_of(preset, generator)
    averaged = AveragedModel(denoiser, avg_fn=get_ema_avg_fn())
    optimiser = configure_optimiser(denoiser.parameters(), preset.denoiser_training.optimisation)["optimizer"]
    clean = torch.randn(condition.extrapolated_latent.shape, generator=generator)
    begin = time.perf_counter()
    with FlopCounterMode(display=False) as counter:
        diffusion_loss(
            lambda noisy, step: denoiser(noisy, step, condition),
            clean,
            torch.randn(clean.shape, generator=generator),
            torch.tensor([preset.diffusion.timesteps // 2]),
            preset.diffusion.build_forward_process(),
            condition.extrapolated_coverage,
        ).backward()
    optimiser.step()
    averaged.update_parameters(denoiser)
    seconds = time.perf_counter() - begin
    parameters = sum(each.numel() for each in denoiser.parameters())
    flops = counter.get_total_flops()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    values = (parameters / 1e6, peak, flops / 1e12, seconds, 4 * parameters / 1e9, flops / (4e3 * parameters))
    return dict(zip(COLUMNS, (name, *values), strict=True))


def main() -> None:
    """Measure the presets that are named, or, for one, print its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--numbers", action="store_true", help="of one preset, as JSON")
    given = parser.parse_args()
    if given.numbers:
        print(json.dumps(measure(given.presets[0])))
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for name in given.presets:
        command = [sys.executable, str(Path(__file__)), name, "--numbers"]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| `{row.pop('preset')}` | {' | '.join(f'{value:.3g}' for value in row.values())} |")


if __name__ == "__main__":
    main()
