"""The trained model as one module: autoencoder, denoiser and the statistics of latents between them."""

from collections.abc import Iterator
from typing import Self

import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.diffusion.schedule import DiffusionConfig
from ssldm.model.any_autoencoder import AnyAutoencoderConfig
from ssldm.model.any_denoiser import AnyDenoiserConfig
from ssldm.model.block_autoencoder import BlockAutoencoder
from ssldm.model.misfits import misfits_of_frames, misfits_of_parts
from ssldm.model.scaling import IntensityScaling
from ssldm.model.trained_for import TrainedFor

# Frames that the autoencoder takes together: few enough to stay in a processor's cache.
FRAMES_AT_ONCE = 4


class ModelParts(Config):
    """What a model is made of, whatever the data.

    Attributes:
        scaling: from rain rates to network units, and back.
        autoencoder: from frames to latents, and back.
        denoiser: the network that latents are sampled with.
        diffusion: the noise that the denoiser removes.
        remove_speckle: whether lone pixels of the context count as clutter, in training and in a forecast.
    """

    scaling: IntensityScaling
    autoencoder: AnyAutoencoderConfig
    denoiser: AnyDenoiserConfig
    diffusion: DiffusionConfig
    remove_speckle: bool = False

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
    """Autoencoder, denoiser, and the affine map to the scaled latents that the denoiser works with."""

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = config.autoencoder.build()
        self.denoiser = config.denoiser.build(config.autoencoder.stride)
        channels = config.autoencoder.latent_channels
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_std", torch.ones(channels))

    def encode(self, rate: Tensor) -> Tensor:
        """Scaled latents ``(n, c, h, w)`` of rain rates ``(n, H, W)`` in mm/h; NaN counts as dry."""
        return torch.cat([self._encode(frames) for frames in rate.split(FRAMES_AT_ONCE)])

    def _encode(self, rate: Tensor) -> Tensor:
        frames = self.config.scaling.to_network(rate.nan_to_num(nan=0.0))
        image = frames[:, None].expand(-1, self.config.autoencoder.channels, -1, -1)
        mean, _ = self.autoencoder.encode(image.to(next(self.autoencoder.parameters()).dtype))
        return self._scaled(mean.float())

    def decode(self, latents: Tensor) -> Tensor:
        """Rain rates ``(n, H, W)`` in mm/h of scaled latents ``(n, c, h, w)``."""
        return torch.cat([self._decode(frames) for frames in latents.split(FRAMES_AT_ONCE)])

    def _decode(self, latents: Tensor) -> Tensor:
        raw = self._raw(latents)
        image = self.autoencoder.decode(raw.to(next(self.autoencoder.parameters()).dtype))
        return self.config.scaling.to_rate(image.float().mean(dim=1))

    def turn(self, latents: Tensor, symmetry: int) -> Tensor:
        """Scaled latents ``(..., c, h, w)`` of turned frames, see `BlockAutoencoder.turn`.

        Raises:
            TypeError: another autoencoder, whose latents do not turn with its frames.
        """
        if not isinstance(self.autoencoder, BlockAutoencoder):
            raise TypeError("only a block autoencoder's latents turn with its frames")
        return self._scaled(self.autoencoder.turn(self._raw(latents), symmetry))

    def _scaled(self, raw: Tensor) -> Tensor:
        return (raw - self.latent_mean[:, None, None]) / self.latent_std[:, None, None]

    def _raw(self, scaled: Tensor) -> Tensor:
        return scaled * self.latent_std[:, None, None] + self.latent_mean[:, None, None]
