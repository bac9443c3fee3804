"""The conditional merge net: what the denoiser is told besides the noisy latents.

Variants of the paper: latent context alone, with the downsampled context (fig. C) or with a learned
pixel-space encoder (fig. B). Ours adds the motion-extrapolated forecast, which differs at each lead time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.paper.pixel_encoder import GROUPS, PixelEncoder


class MergeNetConfig(Config):
    """Which conditions enter, and their sizes.

    Attributes:
        context_frames: number of observed frames, T_in.
        latent_channels: channels of a latent frame.
        pixels: pixel-space condition: none, the downsampled context, or a learned encoder, which halves
            frames to the size of latents, so that a latent pixel must be 1, 2, 4, 8, … pixels.
        pixel_channels: channels of a context frame in pixel space (published: one, repeated three times).
        encoder_width: width of the pixel encoder at full size, a multiple of 32.
        encoder_heads: attention heads in its last two stages.
        extrapolation: whether the latents of the motion-extrapolated frames and their coverage enter.
    """

    context_frames: PositiveInt = 4
    latent_channels: PositiveInt = 4
    pixels: Literal["none", "downsampled", "encoder"] = "none"
    pixel_channels: PositiveInt = 1
    encoder_width: PositiveInt = 64
    encoder_heads: PositiveInt = 8
    extrapolation: bool = False

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.pixels == "encoder" and (
            self.encoder_width % GROUPS or self.encoder_width % self.encoder_heads
        ):
            raise ValueError(
                f"expected an encoder_width that is a multiple of {GROUPS} and of "
                f"encoder_heads={self.encoder_heads}, found {self.encoder_width}"
            )
        return self

    @property
    def context_channels(self) -> int:
        """Channels of the context, the same at each lead frame."""
        pixels = 0 if self.pixels == "none" else self.pixel_channels
        return self.context_frames * (self.latent_channels + pixels)

    @property
    def own_channels(self) -> int:
        """Channels of a lead frame's own: its noisy latents and what is known of it."""
        return self.latent_channels + (self.latent_channels + 1 if self.extrapolation else 0)

    def build(self, reduction: int = 8) -> "MergeNet":
        """The merge net of this configuration, for latent pixels of so many pixels."""
        return MergeNet(self, reduction)


@dataclass(frozen=True)
class Condition:
    """What is known when a forecast starts, in network units.

    Attributes:
        context_latent: ``(b, t_in, c, h, w)``, scaled latents of the observed frames.
        context_pixels: ``(b, t_in, c_px, H, W)``, the observed frames, or one channel that stands for all;
            needed by the pixel conditions.
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
    """Gathers noisy latents and conditions along channels.

    The paper repeats the context at each lead frame. Here it comes apart from what is a lead frame's own, so
    that a network may compute once what it makes of it.
    """

    def __init__(self, config: MergeNetConfig, reduction: int) -> None:
        super().__init__()
        self.config = config
        self.pixel_encoder = (
            PixelEncoder(config.context_frames, config.encoder_width, config.encoder_heads, reduction)
            if config.pixels == "encoder"
            else None
        )

    def _pixel_condition(self, pixels: Tensor, size: torch.Size) -> Tensor:
        """``(b, t_in, c_px, H, W)``, or one channel for all → ``(b, t_in, c_px, h, w)``"""
        if self.pixel_encoder is not None:
            reduced = self.pixel_encoder(pixels[:, :, 0])[:, :, None]
        else:
            flat = F.interpolate(pixels.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
            reduced = flat.unflatten(0, pixels.shape[:2])
        repeated: Tensor = reduced.expand(-1, -1, self.config.pixel_channels, -1, -1)
        return repeated

    def forward(self, noisy: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Noisy latents ``(b, t_out, c, h, w)`` → context ``(b, C, h, w)`` and own ``(b, t_out, C', h, w)``.

        C and C' are `MergeNetConfig.context_channels` and `own_channels`; own starts with the noisy latents.
        """
        context = condition.context_latent
        if self.config.pixels != "none":
            if condition.context_pixels is None:
                raise ValueError(f"pixel condition {self.config.pixels!r} needs Condition.context_pixels")
            pixels = self._pixel_condition(condition.context_pixels, noisy.shape[-2:])
            context = torch.cat([pixels.to(context.dtype), context], dim=2)
        # Frames fold into channels channel-major: channel outer, frame inner (as published).
        context = context.transpose(1, 2).flatten(1, 2)
        own = [noisy]
        if self.config.extrapolation:
            if condition.extrapolated_latent is None or condition.extrapolated_coverage is None:
                raise ValueError("the motion condition needs extrapolated latents and their coverage")
            own += [condition.extrapolated_latent, condition.extrapolated_coverage]
        return context.to(noisy.dtype), torch.cat([part.to(noisy.dtype) for part in own], dim=2)
