"""The ensemble of a model without a denoiser: what is expected, and the storm's noise around it."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.diffusion.sampling import member_seed
from ssldm.forecast.advection import Region, trajectories
from ssldm.forecast.condition import carry_context
from ssldm.forecast.noise import StormNoise
from ssldm.model.storm_model import StormModel
from ssldm.postprocess.steps import prepared
from ssldm.radar.motion import SPACING

Advance = Callable[[], None]


class StormEnsemble:
    """Draws members of the forecast that follows some context, in pairs of opposite noise.

    Args:
        model: in evaluation mode, on its device.
        context: ``(t_in, h, w)`` in mm/h, NaN unobserved, on that device.
        motions: ``(2, 2, h', w')`` in pixels a step, x then y, of two estimates, at every
            `ssldm.radar.motion.SPACING`-th pixel.
        frames: number of lead times.
    """

    def __init__(self, model: StormModel, context: Tensor, motions: Tensor, frames: int) -> None:
        self.model = model
        self.size = height, width = context.shape[-2], context.shape[-1]
        # To whole blocks, with what is unobserved.
        padding = (0, -width % model.stride, 0, -height % model.stride)
        known = model.above_dry(F.pad(context, padding, value=float("nan")))
        steps = range(1, frames + 1)
        carried = carry_context(known, motions, steps, model.stride)
        expected = model.expected(carried, torch.arange(frames, device=context.device))
        self.observed = carried.observed[0]
        self.mean = model.decode(expected.waves)[0]
        self.deviation = expected.deviation(model.stride)[0]
        paths = trajectories(motions[0], frames, Region.whole(*known.shape[-2:]), SPACING)
        self.noise = StormNoise(known.nan_to_num(nan=0.0), paths, model.config.noise)
        extrapolated = model.to_rate(carried.extrapolated[0, :, 0])
        self.steps = prepared(model.config.postprocess, extrapolated, self.observed)

    def members(self, count: int, *, seed: int, advance: Advance = lambda: None) -> Iterator[Tensor]:
        """Rain rate ``(t, h, w)`` in mm/h of each member, NaN where it is not forecast.

        Member k depends on (seed, k) alone. ``advance`` is called after each pair.
        """
        height, width = self.size
        for first in range(0, count, 2):
            apart = (self.deviation * self.noise.draw(member_seed(seed, first))).sum(dim=1)
            for above_dry in (self.mean + apart, self.mean - apart)[: count - first]:
                rate = self.model.to_rate(above_dry)
                for step in self.steps:
                    rate = step(rate)
                yield torch.where(self.observed, rate, torch.nan)[:, :height, :width]
            advance()
