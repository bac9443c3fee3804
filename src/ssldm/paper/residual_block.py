"""The residual block: with timestep and temporal shift in the denoiser, without in the pixel encoder."""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ssldm.paper.temporal_shift import temporal_shift

Resample = Literal["none", "halve", "double"]


def _keep(x: Tensor) -> Tensor:
    return x


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


_RESAMPLE: dict[Resample, Callable[[Tensor], Tensor]] = {
    "none": _keep,
    "halve": _halve,
    "double": _double,
}


class ResidualBlock(nn.Module):
    """Shift, body, shift: the paper's temporal-shift residual block.

    The first shift comes before the skip connection branches off, the second acts on the sum.

    Args:
        channels: width of the input.
        out_channels: width of the output.
        embedding_channels: width of the timestep embedding, 0 for a block that has none.
        shift_fraction: see `temporal_shift`; 0 for a block that shifts nothing.
        resample: halve (2×2 mean) or double (nearest) the size of body and skip.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        embedding_channels: int = 0,
        shift_fraction: int = 0,
        resample: Resample = "none",
        groups: int = 32,
    ) -> None:
        super().__init__()
        self.shift_fraction = shift_fraction
        self.resample = _RESAMPLE[resample]
        self.norm_in = nn.GroupNorm(groups, channels)
        self.conv_in = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.embedding = nn.Linear(embedding_channels, 2 * out_channels) if embedding_channels else None
        self.norm_out = nn.GroupNorm(groups, out_channels)
        self.conv_out = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor | None = None, frames: int = 1) -> Tensor:
        """``(b*t, c, h, w)``, embedding ``(b*t, e)`` → ``(b*t, c', h', w')``"""
        if self.shift_fraction:
            x = temporal_shift(x, frames, self.shift_fraction)
        h = self.conv_in(self.resample(F.silu(self.norm_in(x))))
        h = self.norm_out(h)
        if self.embedding is not None and embedding is not None:
            scale, shift = self.embedding(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        h = self.skip(self.resample(x)) + self.conv_out(F.silu(h))
        return temporal_shift(h, frames, self.shift_fraction) if self.shift_fraction else h
