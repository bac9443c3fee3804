"""The ensemble of a denoiser on a domain of any size: one noise field a member, tiles denoised together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.diffusion.sampling import member_generator, sample
from ssldm.diffusion.schedule import SamplerName
from ssldm.forecast.tiling import Blend, Tiling
from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.paper.merge_net import Condition
from ssldm.radar.motion import Extrapolation

# Of the side of a tile.
TILE_OVERLAP = 0.25
# Kernels may round differently for different batch sizes: members always run in batches of this many
# (the last one filled up), so that member k is the same bit for bit in an ensemble of any size.
MEMBER_BATCH = 4

Advance = Callable[[], None]


@dataclass(frozen=True)
class _Tile:
    """One tile: where it is in latent pixels and in pixels, and its condition."""

    latent: tuple[slice, slice]
    pixels: tuple[slice, slice]
    condition: Condition


class DiffusionEnsemble:
    """Draws members of the forecast that follows some context.

    Args:
        model: in evaluation mode, on its device.
        context: rain rate ``(t_in, H, W)`` in mm/h, NaN unobserved.
        moved: its extrapolation to ``t_out`` lead times, the model's or only the first of them; tiles
            without any observed are skipped.
    """

    def __init__(self, model: LatentDiffusion, context: NDArray[np.float32], moved: Extrapolation) -> None:
        self.model = model
        self.device = model.latent_mean.device
        self.dtype = next(model.denoiser.parameters()).dtype
        self.size = context.shape[-2:]
        self.lead_frames = len(moved.rate)
        config, (height, width) = model.config, self.size
        pad = (0, -width % config.stride, 0, -height % config.stride)
        seen = F.pad(torch.from_numpy(context), pad, value=float("nan"))
        rate = F.pad(torch.from_numpy(moved.rate), pad, value=float("nan"))
        observed = F.pad(torch.from_numpy(moved.observed), pad, value=False)
        overlap = round(TILE_OVERLAP * config.training_size)
        # Tiles begin where latent pixels do; their sides, not their places, are multiples of the denoiser's.
        stride = config.autoencoder.stride
        self.tiling = Tiling(seen.shape[-2], seen.shape[-1], config.training_size, overlap, stride)
        self.latent_tiling = self.tiling.scaled(stride)
        self.tiles = [
            _Tile(latent, here, self._condition(seen[:, *here], rate[:, *here], observed[:, *here]))
            for latent, here in zip(self.latent_tiling, self.tiling, strict=True)
            if observed[:, *here].any()
        ]

    def _condition(self, context: Tensor, moved: Tensor, observed: Tensor) -> Condition:
        context = context.to(self.device)
        pixels = self.model.config.scaling.to_network(context.nan_to_num(nan=0.0))
        latents, coverage = None, None
        if self.model.config.denoiser.merge_net.extrapolation:
            latents = self.model.encode(moved.to(self.device))[None]
            share = F.avg_pool2d(observed[:, None].float(), self.model.config.autoencoder.stride)
            coverage = share[None].to(self.device)
        return Condition(self.model.encode(context)[None], pixels[None, :, None], latents, coverage)

    def members(
        self,
        count: int,
        *,
        seed: int,
        steps: int,
        sampler: SamplerName,
        advance: Advance = lambda: None,
    ) -> Iterator[Tensor]:
        """Rain rate ``(t_out, H, W)`` in mm/h of each member; member k depends on (seed, k) alone.

        ``advance`` is called after every call of the denoiser.
        """
        for first in range(0, count, MEMBER_BATCH):
            generators = [member_generator(seed, k) for k in range(first, first + MEMBER_BATCH)]
            latents = self._sample(generators, steps, sampler, advance)
            for member in latents[: count - first]:
                yield self._decode(member)

    def calls(self, members: int, steps: int) -> int:
        """How often the denoiser will be called."""
        return -(-members // MEMBER_BATCH) * steps * len(self.tiles)

    def _sample(
        self, generators: Sequence[torch.Generator], steps: int, sampler: SamplerName, advance: Advance
    ) -> Tensor:
        """Scaled latents ``(m, t_out, c, h, w)`` on the whole domain."""
        config, tiling = self.model.config, self.latent_tiling

        def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            blend = Blend(tiling, tuple(noisy.shape[:-2]))
            for tile in self.tiles:
                condition = tile.condition.map(lambda x: x.to(self.dtype).expand(len(noisy), *x.shape[1:]))
                window = noisy[..., *tile.latent].to(self.device, self.dtype)
                prediction = self.model.denoiser(window, timestep.to(self.device), condition)
                blend.add(tile.latent, prediction.float().cpu())
                advance()
            return blend.result()

        # Of all lead frames of the model: the first of them are those of a longer forecast.
        shape = (config.lead_frames, config.autoencoder.latent_channels, tiling.height, tiling.width)
        noise = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        scheduler = config.diffusion.build_scheduler(sampler)
        return sample(predict, noise[:, : self.lead_frames], scheduler, steps, generators)

    def _decode(self, latents: Tensor) -> Tensor:
        """Rain rate ``(t_out, H, W)`` of latents ``(t_out, c, h, w)``."""
        blend = Blend(self.tiling, (len(latents),))
        for tile in self.tiles:
            blend.add(tile.pixels, self.model.decode(latents[..., *tile.latent].to(self.device)).cpu())
        rate = blend.result()[:, : self.size[0], : self.size[1]]
        return self.model.config.scaling.set_dry(rate)
