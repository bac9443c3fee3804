"""The ensemble of a model without a denoiser: what is expected, and the storm's noise around it."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.diffusion.sampling import member_seed
from ssldm.forecast.advection import trajectories
from ssldm.forecast.condition import carry_context
from ssldm.forecast.noise import StormNoise
from ssldm.model.storm_model import StormModel


class StormEnsemble:
    """Draws members of the forecast that follows some context.

    Args:
        model: in evaluation mode, on its device.
        context: ``(t_in, h, w)`` in mm/h, NaN unobserved, on that device.
        motions: ``(2, 2, h, w)`` in pixels a step, x then y, of two estimates.
        frames: number of lead times.
    """

    def __init__(self, model: StormModel, context: Tensor, motions: Tensor, frames: int) -> None:
        self.model = model
        self.size = context.shape[-2:]
        context, motions = _padded(model.above_dry(context), model.stride), _extended(motions, model.stride)
        leads = torch.arange(frames, device=context.device)
        carried = carry_context(context[None], motions[None], [lead + 1 for lead in range(frames)], model.stride)
        expected = model.expected(carried, leads)
        self.observed = carried.observed[0]
        self.extrapolated = carried.extrapolated[0, :, 0]
        self.mean = model.decode(expected.waves)[0]
        self.deviation = expected.deviation(model.stride)[0]
        paths = trajectories(motions[None, 0], frames)[0]
        self.noise = StormNoise(context.nan_to_num(nan=0.0), paths, model.config.noise)

    def pair(self, seed: int, number: int) -> Tensor:
        """Members 2n and 2n + 1, of opposite noise, ``(2, t, h, w)`` in network units above dry."""
        apart = (self.deviation * self.noise.draw(member_seed(seed, 2 * number))).sum(dim=1)
        return torch.stack([self.mean + apart, self.mean - apart])

    def members(self, count: int, seed: int) -> Iterator[Tensor]:
        """Rain rate ``(t, h, w)`` in mm/h of each member, NaN where it is not forecast.

        Member k depends on (seed, k) alone.
        """
        height, width = self.size
        for number in range(-(-count // 2)):
            rates = self.model.to_rate(self.pair(seed, number))
            rates = torch.where(self.observed, rates, torch.nan)[..., :height, :width]
            yield from rates[: count - 2 * number]


def _padded(frames: Tensor, stride: int) -> Tensor:
    """To whole blocks, with what is unobserved."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, -width % stride, 0, -height % stride), value=float("nan"))


def _extended(motions: Tensor, stride: int) -> Tensor:
    """To whole blocks, going on as at the edge."""
    height, width = motions.shape[-2:]
    return F.pad(motions, (0, -width % stride, 0, -height % stride), mode="replicate")
