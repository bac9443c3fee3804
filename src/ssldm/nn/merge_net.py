"""The conditional merge net: what the denoiser is told besides the noisy latents.

Variants of the paper: latent context alone, with the downsampled context (fig. C) or with a learned
pixel-space encoder (fig. B). Ours adds the motion-extrapolated forecast, which differs at each lead time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.nn.pixel_encoder import PixelEncoder


class MergeNetConfig(Config):
    """Which conditions enter, and their sizes.

    Attributes:
        context_frames: number of observed frames, T_in.
        latent_channels: channels of a latent frame.
        pixels: pixel-space condition: none, the downsampled context, or a learned encoder.
        pixel_channels: channels of a context frame in pixel space (published: one, repeated three times).
        encoder_width: width of the pixel encoder at full size.
        extrapolation: whether the latents of the motion-extrapolated frames and their coverage enter.
    """

    context_frames: int = 4
    latent_channels: int = 4
    pixels: Literal["none", "downsampled", "encoder"] = "none"
    pixel_channels: int = 1
    encoder_width: int = 64
    extrapolation: bool = False

    @property
    def channels(self) -> int:
        """Channels that the merge net adds to the noisy latents at each lead frame."""
        pixels = 0 if self.pixels == "none" else self.pixel_channels
        context = self.context_frames * (self.latent_channels + pixels)
        return context + (self.latent_channels + 1 if self.extrapolation else 0)

    def build(self) -> "MergeNet":
        """The merge net of this configuration."""
        return MergeNet(self)


@dataclass(frozen=True)
class Condition:
    """What is known when a forecast starts, in network units.

    Attributes:
        context_latent: ``(b, t_in, c, h, w)``, scaled latents of the observed frames.
        context_pixels: ``(b, t_in, c_px, H, W)``, the observed frames; needed by the pixel conditions.
        extrapolated_latent: ``(b, t_out, c, h, w)``, scaled latents of the extrapolated frames.
        extrapolated_coverage: ``(b, t_out, 1, h, w)``, share of each latent pixel that the extrapolation
            covers, 0 to 1.
    """

    context_latent: Tensor
    context_pixels: Tensor | None = None
    extrapolated_latent: Tensor | None = None
    extrapolated_coverage: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> "Condition":
        """The same condition with ``function`` applied to each tensor (a move, a repetition, a crop)."""
        return replace(
            self, **{name: function(value) for name, value in vars(self).items() if value is not None}
        )


class MergeNet(nn.Module):
    """Concatenates noisy latents and conditions along channels, at each lead frame."""

    def __init__(self, config: MergeNetConfig) -> None:
        super().__init__()
        self.config = config
        self.pixel_encoder = (
            PixelEncoder(config.context_frames, config.encoder_width) if config.pixels == "encoder" else None
        )

    def _pixel_condition(self, pixels: Tensor, size: torch.Size) -> Tensor:
        """``(b, t_in, c_px, H, W)`` → ``(b, t_in, c_px, h, w)``"""
        if self.pixel_encoder is not None:
            encoded: Tensor = self.pixel_encoder(pixels[:, :, 0])
            return encoded[:, :, None].expand(-1, -1, self.config.pixel_channels, -1, -1)
        reduced = F.interpolate(pixels.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
        return reduced.view(*pixels.shape[:3], *size)

    def forward(self, noisy: Tensor, condition: Condition) -> Tensor:
        """Noisy latents ``(b, t_out, c, h, w)`` → merged ``(b, t_out, c + C, h, w)``.

        C is `MergeNetConfig.channels`.
        """
        context = condition.context_latent
        if self.config.pixels != "none":
            if condition.context_pixels is None:
                raise ValueError(f"pixel condition {self.config.pixels!r} needs Condition.context_pixels")
            pixels = self._pixel_condition(condition.context_pixels, noisy.shape[-2:])
            context = torch.cat([pixels.to(context.dtype), context], dim=2)
        # Frames fold into channels channel-major: channel outer, frame inner (as published).
        context = context.transpose(1, 2).flatten(1, 2)
        parts = [noisy, context[:, None].expand(-1, noisy.shape[1], -1, -1, -1)]
        if self.config.extrapolation:
            if condition.extrapolated_latent is None or condition.extrapolated_coverage is None:
                raise ValueError("the motion condition needs extrapolated latents and their coverage")
            parts += [condition.extrapolated_latent, condition.extrapolated_coverage]
        return torch.cat([part.to(noisy.dtype) for part in parts], dim=2)
