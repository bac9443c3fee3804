"""An ensemble on a domain of any size: one condition, one noise field a member, tiles denoised together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.diffusion.sampling import member_generator, sample
from ssldm.diffusion.schedule import SamplerName
from ssldm.errors import ModelError
from ssldm.forecast.motion_history import motion_history
from ssldm.forecast.symmetry import expected_by_symmetry
from ssldm.forecast.tiling import Blend, Tiling
from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.model.residual_target import Expectation
from ssldm.paper.merge_net import Condition
from ssldm.postprocess.probability_matching import ProbabilityMatching
from ssldm.postprocess.reach import within_reach
from ssldm.postprocess.spectrum_matching import SpectrumMatching
from ssldm.radar.motion import Extrapolation, extrapolate, mean_motion

# Of the side of a tile.
TILE_OVERLAP = 0.25
# Kernels may round differently for different batch sizes: members always run in batches of this many
# (the last one filled up), so that member k is the same bit for bit in an ensemble of any size.
MEMBER_BATCH = 4

Advance = Callable[[], None]


@dataclass(frozen=True)
class _Fields:
    """What is extrapolated in one way, in mm/h, where it is observed ``(t_out, H, W)``, and its history."""

    rate: Tensor
    observed: Tensor
    history: Tensor | None

    def at(self, latent: tuple[slice, slice], pixels: tuple[slice, slice]) -> "_Fields":
        """On a tile, given in latent pixels and in pixels."""
        history = None if self.history is None else self.history[..., *latent]
        return _Fields(self.rate[:, *pixels], self.observed[:, *pixels], history)


@dataclass(frozen=True)
class _Tile:
    """One tile: where it is in latent pixels and in pixels, its condition, what that lets expect.

    And what members are drawn to, in the order in which that is done.
    """

    latent: tuple[slice, slice]
    pixels: tuple[slice, slice]
    condition: Condition
    expected: Expectation
    matchings: tuple[Callable[[Tensor], Tensor], ...]


class EnsembleSampler:
    """Draws members of the forecast that follows some context.

    Args:
        model: in evaluation mode, on its device.
        context: rain rate ``(t_in, H, W)`` in mm/h, NaN unobserved.
        moved: its extrapolation to ``t_out`` lead times, the model's or only the first of them; tiles
            without any observed are skipped.
        speckle: rain rate ``(H, W)`` that was taken from the last frame of the context, none where None.
    """

    def __init__(
        self,
        model: LatentDiffusion,
        context: NDArray[np.float32],
        moved: Extrapolation,
        speckle: NDArray[np.float32] | None = None,
    ) -> None:
        self.model = model
        self.device = model.latent_mean.device
        self.dtype = next(model.denoiser.parameters()).dtype
        config = model.config
        self.size = context.shape[-2:]
        height, width = (-(-n // config.stride) * config.stride for n in self.size)
        pad = (0, width - self.size[1], 0, height - self.size[0])
        size = config.training_size
        self.tiling = Tiling(height, width, size, round(TILE_OVERLAP * size), config.stride)
        self.reduction = config.autoencoder.stride
        self.lead_frames = len(moved.rate)
        growth = (torch.arange(1, self.lead_frames + 1, device=self.device) / config.lead_frames).sqrt()
        self.inflation = (1.0 + config.inflation * growth)[:, None, None, None]
        ways = [moved]
        if config.both_motions:
            ways.append(extrapolate(context, self.lead_frames, mean_motion(context, moved.motion)))
        reach, rates = config.reach, [way.rate for way in ways]
        self.near = None if reach is None else torch.from_numpy(within_reach(rates, reach))
        seen = F.pad(torch.from_numpy(context), pad, value=float("nan"))
        lost = F.pad(torch.from_numpy(np.zeros_like(context[-1]) if speckle is None else speckle), pad)
        fields = [self._fields(context, way, pad) for way in ways]
        expect = expected_by_symmetry if config.symmetric else LatentDiffusion.expected
        self.tiles = []
        for latent, pixels in zip(self.tiling.scaled(self.reduction), self.tiling, strict=True):
            tracked = fields[0].at(latent, pixels)
            if not tracked.observed.any():
                continue
            conditions = [self._condition(seen[:, *pixels], field.at(latent, pixels)) for field in fields]
            expected = Expectation.average([expect(model, condition) for condition in conditions])
            told = model.told(conditions[0], expected)
            self.tiles.append(_Tile(latent, pixels, told, expected, self._matchings(tracked, lost[pixels])))

    def _matchings(self, moved: _Fields, speckle: Tensor) -> tuple[Callable[[Tensor], Tensor], ...]:
        """Those that change anything: what they take of an extrapolation is not for nothing."""
        rates, spectrum = self.model.config.probability_matching, self.model.config.spectrum_matching
        matchings: list[Callable[[Tensor], Tensor]] = []
        if rates.power > 0.0:
            matchings.append(ProbabilityMatching(moved.rate, moved.observed, rates))
        if spectrum.power > 0.0:
            matchings.append(SpectrumMatching(moved.rate, moved.observed, speckle, spectrum))
        return tuple(matchings)

    def _fields(
        self, context: NDArray[np.float32], moved: Extrapolation, pad: tuple[int, int, int, int]
    ) -> _Fields:
        """An extrapolation and its history, padded to whole tiles."""
        config, history = self.model.config, None
        if config.denoiser.merge_net.history:
            history = motion_history(context, moved, config.scaling, self.reduction)
            rows, columns = self.tiling.height // self.reduction, self.tiling.width // self.reduction
            history = F.pad(history, (0, columns - history.shape[-1], 0, rows - history.shape[-2]))
        rate = F.pad(torch.from_numpy(moved.rate), pad, value=float("nan"))
        observed = F.pad(torch.from_numpy(moved.observed), pad, value=False)
        return _Fields(rate, observed, history)

    def _condition(self, context: Tensor, moved: _Fields) -> Condition:
        merge_net = self.model.config.denoiser.merge_net
        context = context.to(self.device)
        pixels = self.model.config.scaling.to_network(context.nan_to_num(nan=0.0))
        condition = Condition(
            context_latent=self.model.encode(context)[None],
            context_pixels=pixels[None, :, None],
        )
        if not merge_net.extrapolation:
            return condition
        coverage = F.avg_pool2d(moved.observed[:, None].float(), self.reduction)
        history = moved.history
        return replace(
            condition,
            extrapolated_latent=self.model.encode(moved.rate.to(self.device))[None],
            extrapolated_coverage=coverage[None].to(self.device),
            extrapolated_history=None if history is None else history[None].to(self.device),
        )

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

        Raises:
            ModelError: a sampler that adds white noise, for a model of correlated noise.
        """
        if sampler == "ddpm" and self.model.noise is not None:
            raise ModelError(
                "expected a sampler that adds no noise, as the model's is correlated "
                "(dpm-solver++, ddim, unipc), found ddpm"
            )
        for first in range(0, count, MEMBER_BATCH):
            numbers = range(first, first + MEMBER_BATCH)
            targets = self._targets([member_generator(seed, k) for k in numbers], steps, sampler, advance)
            for target in targets[: count - first]:
                yield self._decode(target)

    def calls(self, members: int, steps: int) -> int:
        """How often the denoiser will be called."""
        if self.model.config.guidance == 0.0:
            return 0
        return -(-members // MEMBER_BATCH) * steps * len(self.tiles)

    def _targets(
        self,
        generators: Sequence[torch.Generator],
        steps: int,
        sampler: SamplerName,
        advance: Advance,
    ) -> Tensor:
        """Sampled targets ``(m, t_out, c, h, w)`` on the whole domain."""
        config = self.model.config
        latent_tiling = self.tiling.scaled(self.reduction)

        def predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            if config.guidance == 0.0:
                return torch.zeros_like(noisy)
            blend = Blend(latent_tiling, tuple(noisy.shape[:-2]))
            for tile in self.tiles:
                condition = tile.condition.map(lambda x: x.to(self.dtype).expand(len(noisy), *x.shape[1:]))
                window = noisy[..., *tile.latent].to(self.device, self.dtype)
                prediction = self.model.denoiser(window, timestep.to(self.device), condition)
                blend.add(tile.latent, config.guidance * prediction.float().cpu())
                advance()
            return blend.result()

        noise = self.model.draw_pairs((latent_tiling.height, latent_tiling.width), generators).cpu()
        noise = noise[:, : self.lead_frames]
        return sample(predict, noise, config.diffusion.build_scheduler(sampler), steps, generators)

    def _decode(self, target: Tensor) -> Tensor:
        """Rain rate ``(t_out, H, W)`` of a sampled target ``(t_out, c, h, w)``."""
        blend = Blend(self.tiling, (len(target),))
        for tile in self.tiles:
            window = target[None, ..., *tile.latent].to(self.device)
            latents = tile.expected.restore(self.inflation * window)[0]
            rate = self.model.decode(latents).cpu()
            for matching in tile.matchings:
                rate = matching(rate)
            blend.add(tile.pixels, rate)
        rate = blend.result()[:, : self.size[0], : self.size[1]]
        return self.model.config.scaling.set_dry(rate if self.near is None else rate * self.near)
