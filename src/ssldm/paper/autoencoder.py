"""The KL autoencoder (LDM's KL-f8), with the backbone of `diffusers`."""

from typing import Literal, Self

import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.paper.levels import Multipliers, check_groups


class AutoencoderConfig(Config):
    """Sizes of the autoencoder; the defaults are the published ones.

    Attributes:
        kind: told apart from `BlockAutoencoderConfig` by this.
        channels: channels of a frame in pixel space (published: one radar channel repeated three times).
        latent_channels: channels of a latent frame.
        width: channels at the finest level; `multipliers` gives those of each level.
        multipliers: of `width`, for the channels of each level, the finest first; one level for each.
        blocks: residual blocks a level in the encoder (one more in the decoder).
        middle_attention: one self-attention at the coarsest level.
        patch: side of the square of pixels folded into channels at the entrance.
        groups: groups of all group normalisations.
    """

    kind: Literal["kl"] = "kl"
    channels: PositiveInt = 3
    latent_channels: PositiveInt = 4
    width: PositiveInt = 128
    multipliers: Multipliers = (1, 2, 4, 4)
    blocks: PositiveInt = 2
    middle_attention: bool = True
    patch: PositiveInt = 1
    groups: PositiveInt = 32

    @model_validator(mode="after")
    def _widths_divide(self) -> Self:
        check_groups(self.width, self.multipliers, self.groups)
        return self

    @property
    def stride(self) -> int:
        """Pixels a latent pixel; frame height and width must be multiples of this."""
        return int(self.patch * 2 ** (len(self.multipliers) - 1))

    def build(self) -> "Autoencoder":
        """An autoencoder with fresh weights."""
        return Autoencoder(self)


class Autoencoder(nn.Module):
    """Frames to the mean and log-variance of their latents, and back."""

    LOG_VARIANCE_RANGE = (-30.0, 20.0)

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        from diffusers import AutoencoderKL

        self.config = config
        folded = config.channels * config.patch**2
        levels = len(config.multipliers)
        self.backbone = AutoencoderKL(
            in_channels=folded,
            out_channels=folded,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(config.width * m for m in config.multipliers),
            layers_per_block=config.blocks,
            latent_channels=config.latent_channels,
            norm_num_groups=config.groups,
            mid_block_add_attention=config.middle_attention,
        )

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance ``(n, c, h, w)`` of the latents of frames ``(n, c_px, H, W)``."""
        folded = F.pixel_unshuffle(frames, self.config.patch)
        moments = self.backbone.quant_conv(self.backbone.encoder(folded))
        mean, log_variance = moments.chunk(2, dim=1)
        return mean, log_variance.clamp(*self.LOG_VARIANCE_RANGE)

    def decode(self, latents: Tensor) -> Tensor:
        """Frames ``(n, c_px, H, W)`` in network units of latents ``(n, c, h, w)``."""
        folded = self.backbone.decoder(self.backbone.post_quant_conv(latents))
        return F.pixel_shuffle(folded, self.config.patch)

    @property
    def last_layer(self) -> nn.Parameter:
        """The weights that an adversary is balanced at."""
        weight: nn.Parameter = self.backbone.decoder.conv_out.weight
        return weight


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL from a standard normal, summed over each image: ``(n, c, h, w)`` → ``(n,)``."""
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).flatten(1).sum(dim=1)
