"""The ensemble of a model without a denoiser: what is expected, and the storm's noise around it."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.diffusion.sampling import member_seed
from ssldm.forecast.condition import carried_frames
from ssldm.forecast.noise import StormNoise
from ssldm.model.storm_model import StormModel
from ssldm.postprocess.steps import prepared

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
        wanted = bool(model.config.postprocess)
        observed, means, deviations, extrapolated = [], [], [], []
        for lead, carried in enumerate(carried_frames(known, motions, range(1, frames + 1), model.stride)):
            expected = model.expected(carried, torch.tensor([lead], device=context.device))
            means.append(model.decode(expected.waves)[0, 0])
            deviations.append(expected)
            observed.append(carried.observed[0, 0])
            if wanted:
                extrapolated.append(model.to_rate(carried.extrapolated[0, 0, 0]))
        self.means, self.expected, self.observed = means, deviations, torch.stack(observed)
        self.noise = StormNoise(known.nan_to_num(nan=0.0), motions[0], frames, model.config.noise)
        self.steps = (
            prepared(model.config.postprocess, torch.stack(extrapolated), self.observed) if wanted else []
        )

    def members(self, count: int, *, seed: int, advance: Advance = lambda: None) -> Iterator[Tensor]:
        """Rain rate ``(t, h, w)`` in mm/h of each member, NaN where it is not forecast.

        Member k depends on (seed, k) alone. ``advance`` is called after each pair.
        """
        height, width = self.size
        for first in range(0, count, 2):
            noise = self.noise.draw(member_seed(seed, first))
            apart = [
                (expected.deviation(self.model.stride)[0, 0] * field).sum(dim=0)
                for expected, field in zip(self.expected, noise, strict=True)
            ]
            for sign in (1.0, -1.0)[: count - first]:
                frames = [
                    self.model.to_rate(torch.add(mean, field, alpha=sign))
                    for mean, field in zip(self.means, apart, strict=True)
                ]
                rate = torch.stack(frames)
                for step in self.steps:
                    rate = step(rate)
                yield torch.where(self.observed, rate, torch.nan)[:, :height, :width]
            advance()
