"""The denoiser: a U-Net of spatiotemporal conversion blocks over the latents of all lead frames."""

from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.paper.attention import SpatialAttention
from ssldm.paper.gate import apply_gate
from ssldm.paper.levels import Multipliers, check_groups
from ssldm.paper.merge_net import Condition, MergeNetConfig
from ssldm.paper.residual_block import Resample, ResidualBlock
from ssldm.paper.stc_block import AttentionKind, STCBlock, build_cascade
from ssldm.paper.timestep_embedding import timestep_embedding


class DenoiserConfig(Config):
    """Sizes of the denoiser; the defaults are the published ones.

    Attributes:
        kind: told apart from `StackedDenoiserConfig` by this.
        merge_net: the conditions.
        width: channels at the finest level; `multipliers` gives those of each level.
        multipliers: of `width`, for the channels of each level, the finest first; one level for each.
        blocks: STC blocks a level on the way down (one more on the way up).
        attention_reductions: reductions of the latent size (1, 2, 4, …) at which blocks have a cascade.
        cascade: order of the attentions in a cascade ("joint": over space and time at once, not the paper's).
        shift_fraction: reciprocal of the share of channels shifted each way; 0 shifts nothing.
        spatial_heads, temporal_heads: heads of the attentions over space and over time.
        temporal_head_channels: channels of each of the latter.
        patch: side of the square of latent pixels folded into channels at the entrance.
        gated: predict g ⊙ z_n + h, a gain and an offset for each latent (`ssldm.paper.gate.apply_gate`).
        groups: groups of all group normalisations.
    """

    kind: Literal["stc"] = "stc"
    merge_net: MergeNetConfig = MergeNetConfig()
    width: PositiveInt = 192
    multipliers: Multipliers = (1, 2, 2, 4, 4)
    blocks: PositiveInt = 2
    attention_reductions: tuple[PositiveInt, ...] = (1, 2, 4, 8)
    cascade: tuple[AttentionKind, ...] = ("spatial", "temporal", "spatial")
    shift_fraction: NonNegativeInt = 8
    spatial_heads: PositiveInt = 8
    temporal_heads: PositiveInt = 8
    temporal_head_channels: PositiveInt = 64
    patch: PositiveInt = 1
    gated: bool = False
    groups: PositiveInt = 32

    @model_validator(mode="after")
    def _widths_divide(self) -> Self:
        check_groups(self.width, self.multipliers, self.groups)
        if any(self.width * m % self.spatial_heads for m in self.multipliers):
            raise ValueError(
                f"width times each of multipliers must divide into spatial_heads={self.spatial_heads}, "
                f"found width={self.width} and multipliers={list(self.multipliers)}"
            )
        if self.width % 2:
            raise ValueError(f"expected an even width, found width={self.width}")
        return self

    @property
    def stride(self) -> int:
        """Latent height and width must be multiples of this."""
        return int(self.patch * 2 ** (len(self.multipliers) - 1))

    def build(self, reduction: int = 8) -> "Denoiser":
        """A denoiser with fresh weights.

        Args:
            reduction: pixels a latent pixel, which a pixel encoder has to follow.
        """
        return Denoiser(self, reduction)


class UpBlock(nn.Module):
    """An STC block on the way up; the last of a level is followed by one that doubles the size."""

    def __init__(self, block: STCBlock, enlarge: ResidualBlock | None) -> None:
        super().__init__()
        self.block = block
        self.enlarge = enlarge

    def forward(self, x: Tensor, embedding: Tensor, frames: int) -> Tensor:
        """``(b*t, c, h, w)``, embedding ``(b*t, e)`` → ``(b*t, c', h', w')``"""
        out: Tensor = self.block(x, embedding, frames)
        return out if self.enlarge is None else self.enlarge(out, embedding, frames)


class Denoiser(nn.Module):
    """Predicts noise (or velocity, or the clean latents) from noisy latents, timestep and conditions."""

    def __init__(self, config: DenoiserConfig, reduction: int) -> None:
        super().__init__()
        self.config = config
        self.merge_net = config.merge_net.build(reduction)
        embedding = 4 * config.width
        self.time_embed = nn.Sequential(
            nn.Linear(config.width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        folded = config.patch**2
        entering = config.merge_net.context_channels + config.merge_net.own_channels
        self.conv_in = nn.Conv2d(entering * folded, config.width, 3, padding=1)

        def residual(channels: int, out: int, resample: Resample = "none") -> ResidualBlock:
            return ResidualBlock(
                channels,
                out,
                embedding_channels=embedding,
                shift_fraction=config.shift_fraction,
                resample=resample,
                groups=config.groups,
            )

        def stc(channels: int, out: int, level: int) -> STCBlock:
            attends = 2**level in config.attention_reductions
            cascade = build_cascade(
                config.cascade if attends else (),
                out,
                spatial_heads=config.spatial_heads,
                temporal_heads=config.temporal_heads,
                temporal_head_channels=config.temporal_head_channels,
                groups=config.groups,
            )
            return STCBlock(residual(channels, out), cascade)

        channels, last = config.width, len(config.multipliers) - 1
        skips = [channels]
        self.down = nn.ModuleList()
        for level, multiplier in enumerate(config.multipliers):
            for _ in range(config.blocks):
                self.down.append(stc(channels, config.width * multiplier, level))
                channels = config.width * multiplier
                skips.append(channels)
            if level < last:
                self.down.append(STCBlock(residual(channels, channels, "halve")))
                skips.append(channels)
        middle_attention = SpatialAttention(channels, config.spatial_heads, config.groups)
        self.middle = nn.ModuleList(
            [
                STCBlock(residual(channels, channels), [middle_attention]),
                STCBlock(residual(channels, channels)),
            ]
        )
        self.up = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(config.multipliers))):
            for i in range(config.blocks + 1):
                block = stc(channels + skips.pop(), config.width * multiplier, level)
                channels = config.width * multiplier
                doubles = level > 0 and i == config.blocks
                self.up.append(UpBlock(block, residual(channels, channels, "double") if doubles else None))
        self.norm_out = nn.GroupNorm(config.groups, channels)
        leaving = config.merge_net.latent_channels * (2 if config.gated else 1)
        self.conv_out = nn.Conv2d(channels, leaving * folded, 3, padding=1)
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        """Zero the last layer of every residual branch, so that training starts from the identity."""
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.conv_out.weight)
            elif isinstance(module, SpatialAttention):
                nn.init.zeros_(module.proj_out.weight)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """One call of the network.

        Args:
            noisy: noisy latents ``(b, t_out, c, h, w)``; h and w multiples of `DenoiserConfig.stride`.
            timestep: ``(b,)``, 0 to 999.
            condition: see `Condition`.

        Returns:
            ``(b, t_out, c, h, w)``

        Raises:
            ValueError: latents whose size the network cannot halve often enough.
        """
        frames, _, height, width = noisy.shape[1:]
        if height % self.config.stride or width % self.config.stride:
            raise ValueError(
                f"latent height and width must be multiples of {self.config.stride}, found {height}×{width}"
            )
        x = self._enter(noisy, condition)
        embedding = timestep_embedding(timestep, self.config.width).to(x.dtype)
        embedding = self.time_embed(embedding).repeat_interleave(frames, dim=0)
        skips = [x]
        for block in self.down:
            x = block(x, embedding, frames)
            skips.append(x)
        for block in self.middle:
            x = block(x, embedding, frames)
        for block in self.up:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding, frames)
        prediction = F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(x))), self.config.patch)
        prediction = prediction.unflatten(0, (-1, frames))
        return apply_gate(prediction, noisy) if self.config.gated else prediction

    def _enter(self, noisy: Tensor, condition: Condition) -> Tensor:
        """The first layer, ``(b*t_out, width, h, w)``; the context's share in it is computed once."""
        context, own = self.merge_net(noisy, condition)
        sizes = [noisy.shape[2], context.shape[1], own.shape[2] - noisy.shape[2]]
        # The published order of channels: noisy latents, context, what else is a lead frame's own.
        latent, once, rest = self.conv_in.weight.split([n * self.config.patch**2 for n in sizes], dim=1)
        own = F.pixel_unshuffle(own.flatten(0, 1), self.config.patch)
        context = F.pixel_unshuffle(context, self.config.patch)
        x = F.conv2d(own, torch.cat([latent, rest], dim=1), self.conv_in.bias, padding=1)
        entered: Tensor = x.unflatten(0, noisy.shape[:2]) + F.conv2d(context, once, padding=1)[:, None]
        return entered.flatten(0, 1)
