"""The rate of a denoiser call beside that of a large matrix product, which little on a machine exceeds."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from benchmark.measure import Options, Row, in_turn, seconds
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ssldm.model.any_denoiser import AnyDenoiserConfig
from ssldm.model.precision import has_fast_bfloat16
from ssldm.paper.denoiser import DenoiserConfig
from ssldm.paper.merge_net import Condition, MergeNetConfig

PART = "arithmetic"
_STRIDE = 8
_GIGA = 1e9
_PRODUCT = "matrix product"


def published(width: int) -> DenoiserConfig:
    """The published denoiser, of condition variant B, at some width."""
    merge_net = MergeNetConfig(pixels="encoder", pixel_channels=3)
    return DenoiserConfig(merge_net=merge_net, width=width)


def of_preset(name: str) -> AnyDenoiserConfig:
    """The denoiser that a preset trains."""
    from ssldm.training.preset import load_preset

    return load_preset(name).denoiser


def condition_of(merge_net: MergeNetConfig, frames: int, side: int) -> Condition:
    """Some condition of the sizes that a merge net takes."""
    channels = merge_net.latent_channels

    def lead(count: int, *, wanted: bool) -> torch.Tensor | None:
        return torch.rand(1, frames, count, side, side) if wanted else None

    size = side * _STRIDE
    return Condition(
        context_latent=torch.randn(1, merge_net.context_frames, channels, side, side),
        context_pixels=(
            torch.randn(1, merge_net.context_frames, merge_net.pixel_channels, size, size)
            if merge_net.pixels != "none"
            else None
        ),
        extrapolated_latent=lead(channels, wanted=merge_net.extrapolation),
        extrapolated_coverage=lead(1, wanted=merge_net.extrapolation),
        extrapolated_history=lead(merge_net.history_channels, wanted=merge_net.history),
        expected_mean=lead(channels, wanted=merge_net.expectation),
        expected_scale=lead(channels, wanted=merge_net.expectation),
    )


class Call:
    """One call of a fresh denoiser for one member."""

    def __init__(self, config: AnyDenoiserConfig, options: Options, dtype: torch.dtype) -> None:
        frames, side = options.sizes.frames, max(options.sizes.side // _STRIDE, config.stride)
        self.network = config.build(_STRIDE).to(options.device, dtype).eval().requires_grad_(False)
        shape = (1, frames, config.merge_net.latent_channels, side, side)
        self.noisy = torch.randn(shape).to(options.device, dtype)
        condition = condition_of(config.merge_net, frames, side)
        self.condition = condition.map(lambda part: part.to(options.device, dtype))
        self.timestep = torch.tensor([500], device=options.device)

    def __call__(self) -> None:
        with torch.inference_mode():
            self.network(self.noisy, self.timestep, self.condition)
        _wait(self.noisy)

    def operations(self) -> float:
        """Multiplications and additions of a call, those of matrix products and convolutions."""
        counter = FlopCounterMode(display=False)
        # Of the fused attention on the CPU the counter knows nothing.
        with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            self.network(self.noisy, self.timestep, self.condition)
        return float(counter.get_total_flops())


def _wait(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


def _product(factor: torch.Tensor) -> None:
    torch.mm(factor, factor)
    _wait(factor)


def measure(options: Options) -> list[Row]:
    """Seconds of a call and its rate, in each arithmetic that the processor has."""
    kinds = {"float32": torch.float32}
    if has_fast_bfloat16(torch.device(options.device)):
        kinds["bfloat16"] = torch.bfloat16
    configs = {
        "denoiser of the published size": published(options.sizes.width),
        "denoiser of preset small": of_preset("small"),
    }
    side = options.sizes.product
    contestants: dict[str, Callable[[], object]] = {}
    operations: dict[str, float] = {}
    for kind, dtype in kinds.items():
        factor = torch.randn(side, side).to(options.device, dtype)
        contestants[f"{_PRODUCT}, {kind}"] = partial(_product, factor)
        operations[f"{_PRODUCT}, {kind}"] = 2.0 * side**3
        for name, config in configs.items():
            call = Call(config, options, dtype)
            contestants[f"{name}, {kind}"] = call
            same = operations.get(f"{name}, float32")
            operations[f"{name}, {kind}"] = same or call.operations()
    runs = in_turn({name: partial(seconds, run) for name, run in contestants.items()}, options.rounds)
    rates = {name: operations[name] / _GIGA / float(np.median(times)) for name, times in runs.items()}
    rows = []
    for name, times in runs.items():
        kind = name.rsplit(", ", 1)[1]
        share = rates[name] / rates[f"{_PRODUCT}, {kind}"]
        size = f"{side}×{side}" if name.startswith(_PRODUCT) else f"{share:.0%} of the product's rate"
        rows.append(Row.median(PART, name, times, remark=f"{operations[name] / _GIGA:.1f} GFLOP"))
        rows.append(Row(PART, f"rate of {name}", rates[name], "GFLOP/s", remark=size))
    return rows
