"""The spatiotemporal conversion (STC) block: a temporal-shift residual block, then cascading attention."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ssldm.paper.attention import JointAttention, SpatialAttention, TemporalAttention
from ssldm.paper.residual_block import ResidualBlock

AttentionKind = Literal["spatial", "temporal", "joint"]


class STCBlock(nn.Module):
    """Temporal-shift residual block followed by a cascade of attentions (spatial, temporal, spatial)."""

    def __init__(self, residual: ResidualBlock, cascade: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.residual = residual
        self.cascade = nn.ModuleList(cascade)

    def forward(self, x: Tensor, embedding: Tensor, frames: int) -> Tensor:
        """``(b*t, c, h, w)``, embedding ``(b*t, e)`` → ``(b*t, c', h', w')``"""
        x = self.residual(x, embedding, frames)
        for attention in self.cascade:
            over_frames = isinstance(attention, TemporalAttention | JointAttention)
            x = attention(x, frames) if over_frames else attention(x)
        return x


def build_cascade(
    kinds: Sequence[AttentionKind],
    channels: int,
    *,
    spatial_heads: int,
    temporal_heads: int,
    temporal_head_channels: int,
    groups: int,
) -> list[nn.Module]:
    """The attentions of one STC block, in order."""

    def build(kind: AttentionKind) -> nn.Module:
        if kind == "temporal":
            return TemporalAttention(channels, temporal_heads, temporal_head_channels)
        return (SpatialAttention if kind == "spatial" else JointAttention)(channels, spatial_heads, groups)

    return [build(kind) for kind in kinds]
