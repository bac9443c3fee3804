"""The storm's noise over a whole forecast: it moves with the rain and remembers the frame before."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from ssldm.forecast.advection import Region, trajectory
from ssldm.forecast.tiling import Tiling
from ssldm.model.storm_noise import StormNoiseConfig, filtered, storm_filters
from ssldm.radar.motion import SPACING

# Of the parts of a domain that have a spectrum of their own, in pixels, and the share that they overlap by.
_PART, _OVERLAP = 128, 0.5


class StormNoise:
    """Draws noise fields on a domain.

    One field of white noise a member, carried by the motion as the rain is; then filtered, part by part where
    the domain is large, so that the white noise below is the same where parts overlap.

    Args:
        context: ``(t_in, h, w)`` in network units above dry, no NaN.
        motion: ``(2, h', w')`` in pixels a step, x then y, at every `ssldm.radar.motion.SPACING`-th pixel.
        frames: number of lead times.
        config: bands and memory.
    """

    def __init__(self, context: Tensor, motion: Tensor, frames: int, config: StormNoiseConfig) -> None:
        self.config = config
        self.size = height, width = context.shape[-2], context.shape[-1]
        self.device = context.device
        rows = torch.arange(height, device=self.device)[:, None]
        columns = torch.arange(width, device=self.device)
        self.origins = []
        for displacement in islice(trajectory(motion, Region.whole(height, width), SPACING), frames):
            x, y = displacement[0].round().int()
            self.origins.append(((rows + y) % height * width + (columns + x) % width).int())
        tiling = Tiling(height, width, _PART, round(_OVERLAP * _PART), 1)
        self.parts = list(tiling)
        self.filters = [storm_filters(context[None, :, *part], config)[0] for part in self.parts]
        weight = tiling.weight().to(self.device)
        total = torch.zeros(height, width, device=self.device)
        for part in self.parts:
            total[part] += weight
        self.weights = [weight / total[part] for part in self.parts]

    def draw(self, seed: int) -> Iterator[Tensor]:
        """Noise ``(k, h, w)`` of unit variance in each band, at one lead time after the other."""
        generator = torch.Generator(self.device).manual_seed(seed)
        memory, state = self.config.memory, None
        for origin in self.origins:
            fresh = torch.randn(self.size, generator=generator, device=self.device)
            state = fresh if state is None else memory * state + (1.0 - memory**2) ** 0.5 * fresh
            yield self._filtered(state.take(origin.long()))

    def _filtered(self, white: Tensor) -> Tensor:
        if len(self.parts) == 1:
            return filtered(white[None], self.filters[0])
        noise = white.new_zeros(self.config.bands, *self.size)
        for part, filters, weight in zip(self.parts, self.filters, self.weights, strict=True):
            noise[:, *part] += weight * filtered(white[part][None], filters)
        return noise
