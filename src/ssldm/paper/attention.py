"""Spatial and temporal attention, the two halves of the paper's cascading attention."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssldm.paper.timestep_embedding import timestep_embedding


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Scaled dot-product attention; q, k, v ``(n, heads, tokens, d)``, bias ``(heads, tokens, tokens')``.

    The bfloat16 backward pass of the CPU kernel is several times slower than the float32 one, so
    training on a CPU attends in float32.
    """
    dtype = q.dtype
    if q.device.type == "cpu" and torch.is_grad_enabled():
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast(q.device.type, enabled=False):
        bias = None if bias is None else bias.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale).to(dtype)


class SpatialAttention(nn.Module):
    """Self-attention over the ``h*w`` positions of each frame, with a residual connection."""

    def __init__(self, channels: int, heads: int, groups: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` → ``(n, c, h, w)``"""
        height = x.shape[2]
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        # Heads first, then each head's channels into q, k, v: the published layout of the weights.
        qkv = self.qkv(tokens).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        attended = fused_attention(qkv[0], qkv[1], qkv[2])
        out = self.proj_out(attended.transpose(1, 2).flatten(2))
        result: Tensor = x + out.transpose(1, 2).unflatten(2, (height, -1))
        return result


class JointAttention(SpatialAttention):
    """Self-attention over all positions of all frames at once, what the paper separates, for comparison."""

    def __init__(self, channels: int, heads: int, groups: int = 32) -> None:
        super().__init__(channels, heads, groups)
        self.position = nn.Linear(channels, channels)

    def forward(self, x: Tensor, frames: int = 1) -> Tensor:
        """``(b*t, c, h, w)`` → the same, with the place of a frame added to its channels."""
        numbers = torch.arange(frames, device=x.device)
        place = self.position(timestep_embedding(numbers, x.shape[1]).to(x.dtype))
        clip = x.unflatten(0, (-1, frames)) + place[:, :, None, None]
        # (b, t, c, h, w) → (b, c, t*h, w)
        attended = super().forward(clip.transpose(1, 2).flatten(2, 3))
        change = attended.unflatten(2, (frames, -1)).transpose(1, 2) - clip
        result: Tensor = x + change.flatten(0, 1)
        return result


class GainLayerNorm(nn.Module):
    """Layer normalisation with a gain ``g`` and no bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(..., c)`` → ``(..., c)``"""
        return F.layer_norm(x, x.shape[-1:], self.g, None, 1e-5)


class RelativePositionBias(nn.Module):
    """An attention bias for each head, learned as a function of the offset ``i - j`` between frames."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Sequential(nn.Linear(1, channels), GainLayerNorm(channels), nn.SiLU()),
            nn.Sequential(nn.Linear(channels, channels), GainLayerNorm(channels), nn.SiLU()),
            nn.Linear(channels, heads),
        )

    def forward(self, frames: int) -> Tensor:
        """Bias ``(heads, t, t)`` for ``frames`` = t."""
        weight = next(self.parameters())
        offsets = torch.arange(1 - frames, frames, device=weight.device, dtype=weight.dtype)
        by_offset: Tensor = self.mlp(offsets[:, None])
        i = torch.arange(frames, device=weight.device)
        return by_offset[i[:, None] - i[None, :] + frames - 1].permute(2, 0, 1)


class TemporalAttention(nn.Module):
    """Causal attention over lead frames at each position, with a residual connection.

    Multi-query (one key and value head), cosine-normalised queries and keys, a learned null key and
    value before the sequence, and a learned relative position bias.
    """

    SIMILARITY_SCALE = 8.0

    def __init__(self, channels: int, heads: int = 8, head_channels: int = 64) -> None:
        super().__init__()
        self.heads = heads
        self.norm = GainLayerNorm(channels)
        self.to_q = nn.Linear(channels, heads * head_channels, bias=False)
        self.to_kv = nn.Linear(channels, 2 * head_channels, bias=False)
        self.to_out = nn.Sequential(
            nn.Linear(heads * head_channels, channels, bias=False), GainLayerNorm(channels)
        )
        self.null_kv = nn.Parameter(torch.randn(2, head_channels))
        self.null_attn_bias = nn.Parameter(torch.randn(heads))
        self.q_scale = nn.Parameter(torch.ones(head_channels))
        self.k_scale = nn.Parameter(torch.ones(head_channels))
        self.rel_pos_bias = RelativePositionBias(channels, heads)

    def attention_bias(self, frames: int) -> Tensor:
        """Bias ``(heads, t, 1 + t)`` with the null key first and future frames at minus infinity."""
        future = torch.ones(frames, frames, dtype=torch.bool, device=self.q_scale.device).triu(1)
        bias = self.rel_pos_bias(frames).masked_fill(future, float("-inf"))
        null = self.null_attn_bias[:, None, None].expand(-1, frames, 1).to(bias.dtype)
        return torch.cat([null, bias], dim=-1)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """``(b*t, c, h, w)`` → the same, attending over ``t`` = ``frames``."""
        height, width = x.shape[-2:]
        # (b*t, c, h, w) → (b*h*w, t, c)
        sequences = x.unflatten(0, (-1, frames)).permute(0, 3, 4, 1, 2).flatten(0, 2)
        tokens = self.norm(sequences)
        q = self.to_q(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.to_kv(tokens).chunk(2, dim=-1)
        null_k, null_v = self.null_kv.to(k.dtype)[:, None, None].expand(-1, len(k), 1, -1)
        k = torch.cat([null_k, k], dim=1)[:, None]
        v = torch.cat([null_v, v], dim=1)[:, None]
        q = (F.normalize(q, dim=-1) * self.q_scale).to(v.dtype)
        k = (F.normalize(k, dim=-1) * self.k_scale).to(v.dtype)
        attended = fused_attention(
            q,
            k.expand(-1, self.heads, -1, -1),
            v.expand(-1, self.heads, -1, -1),
            self.attention_bias(frames),
            self.SIMILARITY_SCALE,
        )
        out: Tensor = sequences + self.to_out(attended.transpose(1, 2).flatten(2))
        out = out.unflatten(0, (-1, height, width)).permute(0, 3, 4, 1, 2)
        return out.flatten(0, 1)
