"""The storm's noise over a whole forecast: it moves with the rain and remembers the frame before."""

import torch
from torch import Tensor

from ssldm.forecast.tiling import Tiling
from ssldm.model.storm_noise import StormNoiseConfig, filtered, storm_filters

# Of the parts of a domain that have a spectrum of their own, in pixels, and the share that they overlap by.
_PART, _OVERLAP = 256, 0.25


class StormNoise:
    """Draws noise fields on a domain.

    One field of white noise a member, carried by the motion as the rain is; then filtered, part by part where
    the domain is large, so that the white noise below is the same where parts overlap.

    Args:
        context: ``(t_in, h, w)`` in network units above dry, no NaN.
        paths: ``(t, 2, h, w)``, displacement in pixels from each lead frame's pixels to their origins.
        config: bands and memory.
    """

    def __init__(self, context: Tensor, paths: Tensor, config: StormNoiseConfig) -> None:
        self.config = config
        self.size = height, width = context.shape[-2], context.shape[-1]
        self.device = context.device
        self.frames = len(paths)
        rows = torch.arange(height, device=self.device)[:, None]
        columns = torch.arange(width, device=self.device)
        row = (rows + paths[:, 1].round().long()) % height
        column = (columns + paths[:, 0].round().long()) % width
        self.origin = (row * width + column).flatten(1)
        self.parts = list(Tiling(height, width, _PART, round(_OVERLAP * _PART), 1))
        self.filters = [storm_filters(context[None, :, *part], config)[0] for part in self.parts]
        weight = Tiling(height, width, _PART, round(_OVERLAP * _PART), 1).weight().to(self.device)
        total = torch.zeros(height, width, device=self.device)
        for part in self.parts:
            total[part] += weight
        self.weights = [weight / total[part] for part in self.parts]

    def draw(self, seed: int) -> Tensor:
        """Noise ``(t, k, h, w)`` of unit variance in each band."""
        generator = torch.Generator(self.device).manual_seed(seed)
        fresh = torch.randn(self.frames, *self.size, generator=generator, device=self.device)
        memory, state, white = self.config.memory, fresh[0], []
        for innovation, origin in zip(fresh, self.origin, strict=True):
            if white:
                state = memory * state + (1.0 - memory**2) ** 0.5 * innovation
            white.append(state.flatten()[origin].reshape(self.size))
        return self._filtered(torch.stack(white)[:, None])

    def _filtered(self, white: Tensor) -> Tensor:
        if len(self.parts) == 1:
            return filtered(white, self.filters[0])
        noise = white.new_zeros(len(white), self.config.bands, *self.size)
        for part, filters, weight in zip(self.parts, self.filters, self.weights, strict=True):
            noise[..., *part] += weight * filtered(white[..., *part], filters)
        return noise
