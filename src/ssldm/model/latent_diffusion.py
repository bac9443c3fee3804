"""The trained model as one module: autoencoder, denoiser and the statistics between them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.diffusion.correlated_noise import CorrelatedNoise
from ssldm.diffusion.schedule import DiffusionConfig
from ssldm.model.any_autoencoder import AnyAutoencoderConfig
from ssldm.model.any_denoiser import AnyDenoiserConfig
from ssldm.model.block_autoencoder import BlockAutoencoder
from ssldm.model.frame_network import FrameNetworkConfig
from ssldm.model.misfits import misfits_of_frames, misfits_of_parts
from ssldm.model.residual_target import Expectation, ResidualTarget, per_pixel
from ssldm.model.scaling import IntensityScaling
from ssldm.model.trained_for import TrainedFor
from ssldm.paper.merge_net import Condition
from ssldm.postprocess.probability_matching import ProbabilityMatchingConfig
from ssldm.postprocess.spectrum_matching import SpectrumMatchingConfig

# Frames that the autoencoder takes together: few enough to stay in a processor's cache.
FRAMES_AT_ONCE = 4


class ModelParts(Config):
    """What a model is made of and how a forecast uses it, whatever the data.

    Attributes:
        scaling, autoencoder, denoiser, diffusion: see there.
        residual_network: of a residual target (`ResidualTarget`); its regression alone where None.
        symmetric: in a forecast, what is expected of latents is averaged over the eight symmetries
            (`ssldm.forecast.symmetry`); training takes it of windows as they lie.
        both_motions: in a forecast, what is expected is averaged over extrapolations along the motion that
            was tracked and along the mean of that and a second estimate (`ssldm.radar.motion`).
        guidance: in a forecast, weight w in v = v₀ + w (v_θ - v₀) of classifier-free guidance (Ho and
            Salimans 2022). Unconditional is the prediction for a target distributed as the noise is, v₀ = 0
            (`ssldm.diffusion.correlated_noise`). Below 1 the denoiser is trusted in part, so that new
            weather does not become that of the training.
        inflation: how much farther members are taken from what is expected at the last lead time, as a share,
            and before in proportion to the square root of lead time: around expectations trained by the CRPS
            members lie too close together. Data assimilation inflates covariances so (Anderson and Anderson
            1999).
        probability_matching, spectrum_matching: how the members' rain rates, and then their power spectrum,
            are drawn towards the extrapolated after sampling.
        reach: pixels a lead frame that a member's rain may be from the extrapolated, beyond which it is dry
            (`ssldm.postprocess.reach`); anywhere where None.
    """

    scaling: IntensityScaling
    autoencoder: AnyAutoencoderConfig
    denoiser: AnyDenoiserConfig
    diffusion: DiffusionConfig
    residual_network: FrameNetworkConfig | None = None
    symmetric: bool = False
    both_motions: bool = False
    guidance: NonNegativeFloat = 1.0
    inflation: NonNegativeFloat = 0.0
    probability_matching: ProbabilityMatchingConfig = ProbabilityMatchingConfig()
    spectrum_matching: SpectrumMatchingConfig = SpectrumMatchingConfig()
    reach: PositiveFloat | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if misfits := list(self._misfits()):
            raise ValueError("; ".join(misfits))
        return self

    def _misfits(self) -> Iterator[str]:
        """What does not fit together, each with the keys that it is about and what would fit."""
        yield from misfits_of_parts(self)


class ModelConfig(ModelParts, TrainedFor):
    """Everything needed to forecast with some weights, and what they were trained for.

    Attributes:
        training_size: side of the training windows in pixels; larger domains are tiled.
    """

    training_size: PositiveInt = 256

    def _misfits(self) -> Iterator[str]:
        yield from super()._misfits()
        yield from misfits_of_frames(self, self.context_frames, self.lead_frames)

    @property
    def stride(self) -> int:
        """Pixels: frame height and width must be multiples of this."""
        return self.autoencoder.stride * self.denoiser.stride

    def build(self) -> "LatentDiffusion":
        """The module with fresh weights."""
        return LatentDiffusion(self)


class LatentDiffusion(nn.Module):
    """Autoencoder, denoiser, and the affine maps between latents and what the denoiser predicts."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = config.autoencoder.build()
        self.denoiser = config.denoiser.build(config.autoencoder.stride)
        channels, lead = config.autoencoder.latent_channels, config.lead_frames
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_std", torch.ones(channels))
        self.residual = _residual_target(config)
        correlated = config.diffusion.noise == "correlated"
        self.noise = CorrelatedNoise(channels, lead, config.diffusion.noise_reach) if correlated else None

    def draw_noise(self, size: tuple[int, int], generators: Sequence[torch.Generator]) -> Tensor:
        """Noise ``(b, t_out, c, h, w)`` of unit variance, one of b windows or members from each generator.

        Args:
            size: h, w.
            generators: on the CPU.
        """
        frames = self.config.lead_frames
        white = torch.stack([self._white(frames, size, generator) for generator in generators])
        return white if self.noise is None else self.noise(white)

    def draw_pairs(self, size: tuple[int, int], generators: Sequence[torch.Generator]) -> Tensor:
        """As `draw_noise`, but every second is the opposite of the one before it (antithetic variates).

        Of the error that the mean of few members has, what is odd in the noise cancels.

        Args:
            size: h, w.
            generators: an even number; of the second of each pair nothing is drawn.
        """
        half = self.draw_noise(size, generators[::2])
        return torch.stack([half, -half], dim=1).flatten(0, 1)

    def draw_frames(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Noise ``(n, c, h, w)`` of single frames, as `draw_noise` gives each of them.

        Args:
            count, size: n and h, w.
            generator: on the CPU.
        """
        white = self._white(count, size, generator)
        return white if self.noise is None else self.noise.over_space(white)

    def _white(self, frames: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """White noise of single frames, with the margin that correlating it takes off."""
        margin = 0 if self.noise is None else 2 * self.noise.reach
        shape = (frames, self.config.autoencoder.latent_channels, size[0] + margin, size[1] + margin)
        return torch.randn(shape, generator=generator).to(self.latent_mean.device)

    def encode(self, rate: Tensor) -> Tensor:
        """Scaled latents ``(n, c, h, w)`` of rain rates ``(n, H, W)`` in mm/h; NaN counts as dry."""
        return torch.cat([self._encode(frames) for frames in rate.split(FRAMES_AT_ONCE)])

    def _encode(self, rate: Tensor) -> Tensor:
        frames = self.config.scaling.to_network(rate.nan_to_num(nan=0.0))
        image = frames[:, None].expand(-1, self.config.autoencoder.channels, -1, -1)
        mean, _ = self.autoencoder.encode(image.to(next(self.autoencoder.parameters()).dtype))
        return (mean.float() - per_pixel(self.latent_mean)) / per_pixel(self.latent_std)

    def decode(self, latents: Tensor) -> Tensor:
        """Rain rates ``(n, H, W)`` in mm/h of scaled latents ``(n, c, h, w)``."""
        return torch.cat([self._decode(frames) for frames in latents.split(FRAMES_AT_ONCE)])

    def _decode(self, latents: Tensor) -> Tensor:
        raw = latents * per_pixel(self.latent_std) + per_pixel(self.latent_mean)
        image = self.autoencoder.decode(raw.to(next(self.autoencoder.parameters()).dtype))
        return self.config.scaling.to_rate(image.float().mean(dim=1))

    def turn(self, latents: Tensor, symmetry: int) -> Tensor:
        """Scaled latents ``(..., c, h, w)`` of turned frames, see `BlockAutoencoder.turn`.

        Raises:
            TypeError: another autoencoder, whose latents do not turn with its frames.
        """
        mean, deviation = per_pixel(self.latent_mean), per_pixel(self.latent_std)
        return (self._turn_raw(latents * deviation + mean, symmetry) - mean) / deviation

    def turn_scale(self, scale: Tensor, symmetry: int) -> Tensor:
        """Scales ``(..., c, h, w)`` of the latents of turned frames: as `turn`, but without signs."""
        deviation = per_pixel(self.latent_std)
        return self._turn_raw(scale * deviation, symmetry).abs() / deviation

    def _turn_raw(self, latents: Tensor, symmetry: int) -> Tensor:
        if not isinstance(self.autoencoder, BlockAutoencoder):
            raise TypeError("only a block autoencoder's latents turn with its frames")
        return self.autoencoder.turn(latents, symmetry)

    def deviation_weight(self, expected: Expectation, power: float) -> Tensor:
        """Weight of each latent in the loss, its expected deviation, unscaled, to a power; of the order of 1.

        Of unit variance all latents are alike; what a pixel shows is mostly the coarse ones', and those of
        places where rain is or may come.
        """
        usual = self.latent_std
        if self.residual is not None:
            usual = usual * self.residual.std.square().mean(dim=0).sqrt()
        deviation = per_pixel(self.latent_std) * expected.scale
        return deviation**power / (usual**power).mean()

    def expected(self, condition: Condition) -> Expectation:
        """Mean and scale of the latents; the denoiser predicts the standardised residual.

        For a model that predicts the latents themselves they are 0 and 1.
        """
        if self.residual is None:
            return Expectation(torch.zeros_like(self.latent_mean[0]), torch.ones_like(self.latent_mean[0]))
        expectation: Expectation = self.residual(condition)
        return expectation

    def told(self, condition: Condition, expected: Expectation) -> Condition:
        """The condition of the denoiser: with what is expected, where its merge net wants that."""
        if not self.config.denoiser.merge_net.expectation:
            return condition
        return replace(condition, expected_mean=expected.mean, expected_scale=expected.scale)


def _residual_target(config: ModelConfig) -> ResidualTarget | None:
    diffusion = config.diffusion
    if diffusion.target != "residual":
        return None
    return ResidualTarget(
        config.lead_frames,
        config.denoiser.merge_net,
        diffusion.residual_reaches,
        config.residual_network,
    )
