"""The learned pixel-space encoder of the conditional merge net (paper fig. B)."""

import torch.nn.functional as F
from torch import Tensor, nn

from ssldm.paper.attention import SpatialAttention
from ssldm.paper.residual_block import ResidualBlock

GROUPS = 32
"""Of all group normalisations, as published."""


def halves_to(reduction: int) -> bool:
    """Whether a size can be reduced by so much in halves."""
    return reduction > 0 and reduction.bit_count() == 1


def _stage_multipliers(halvings: int) -> tuple[int, ...]:
    """Widths of the stages: the published 1, 2, 2, 4 for three halvings, with more or fewer 2 for others."""
    return (1, *(2,) * (halvings - 1), 4) if halvings else (1,)


class PixelEncoderStage(nn.Module):
    """Two residual blocks, self-attention in the late stages, and one that changes width and size."""

    def __init__(self, channels: int, out_channels: int, *, heads: int, halve: bool, groups: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(channels, channels, groups=groups) for _ in range(2))
        self.attention = SpatialAttention(channels, heads, groups) if heads else nn.Identity()
        self.out = ResidualBlock(channels, out_channels, resample="halve" if halve else "none", groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """``(b, c, h, w)`` → ``(b, c', h', w')``"""
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.out(self.attention(x))
        return out


class PixelEncoder(nn.Module):
    """Encodes the context frames, as the channels of one image, to one map a frame at latent size.

    Args:
        frames: number of context frames, in and out.
        width: channels at full size, a multiple of `GROUPS`.
        heads: attention heads, in the last two stages.
        reduction: pixels a latent pixel, a power of two; each stage but the last halves the size.
    """

    def __init__(
        self,
        frames: int,
        width: int = 64,
        heads: int = 8,
        reduction: int = 8,
    ) -> None:
        super().__init__()
        last = reduction.bit_length() - 1
        multipliers = _stage_multipliers(last)
        widths = [width, *(width * m for m in multipliers)]
        self.conv_in = nn.Conv2d(frames, width, 7, padding=3)
        self.stages = nn.ModuleList(
            PixelEncoderStage(
                widths[i],
                widths[i + 1],
                heads=heads if i >= last - 1 else 0,
                halve=i < last,
                groups=GROUPS,
            )
            for i in range(len(multipliers))
        )
        self.residual_out = ResidualBlock(widths[-1], width, groups=GROUPS)
        self.norm_out = nn.GroupNorm(GROUPS, width)
        self.conv_out = nn.Conv2d(width, frames, 3, padding=1)

    def forward(self, context: Tensor) -> Tensor:
        """``(b, t, h, w)`` → ``(b, t, h / r, w / r)``, r the reduction"""
        x = self.conv_in(context)
        for stage in self.stages:
            x = stage(x)
        out: Tensor = self.conv_out(F.silu(self.norm_out(self.residual_out(x))))
        return out
