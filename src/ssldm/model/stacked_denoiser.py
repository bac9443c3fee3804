"""A denoiser without time: lead frames stacked as channels of a plain U-Net, to compare with."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.paper.gate import apply_gate
from ssldm.paper.levels import Multipliers, check_groups
from ssldm.paper.merge_net import Condition, MergeNetConfig

_HEAD_CHANNELS = 32


class StackedDenoiserConfig(Config):
    """Sizes of the denoiser.

    Attributes:
        kind: tells this configuration from that of the paper's denoiser.
        merge_net: the conditions.
        lead_frames: T_out, which the first and last layer depend on.
        width: channels at the finest level; `multipliers` gives those of each level.
        multipliers: of `width`, for the channels of each level, the finest first; one level for each.
        blocks: residual blocks a level on the way down (one more on the way up).
        attention: whether the coarsest level has spatial attention.
        patch: side of the square of latent pixels folded into channels at the entrance.
        gated: predict g ⊙ z_n + h, a gain and an offset for each latent (`ssldm.paper.gate.apply_gate`).
        groups: groups of all group normalisations.
    """

    kind: Literal["stacked"] = "stacked"
    merge_net: MergeNetConfig = MergeNetConfig()
    lead_frames: PositiveInt = 16
    width: PositiveInt = 96
    multipliers: Multipliers = (1, 2, 4)
    blocks: PositiveInt = 1
    attention: bool = True
    patch: PositiveInt = 2
    gated: bool = False
    groups: PositiveInt = 16

    @model_validator(mode="after")
    def _widths_divide(self) -> "StackedDenoiserConfig":
        check_groups(self.width, self.multipliers, self.groups)
        coarsest = self.width * self.multipliers[-1]
        if self.attention and coarsest < _HEAD_CHANNELS:
            raise ValueError(
                f"attention needs width times the last of multipliers of at least {_HEAD_CHANNELS}, "
                f"found {coarsest}"
            )
        return self

    @property
    def stride(self) -> int:
        """Latent height and width must be multiples of this."""
        return int(self.patch * 2 ** (len(self.multipliers) - 1))

    def build(self, reduction: int = 8) -> "StackedDenoiser":
        """See `ssldm.paper.denoiser.DenoiserConfig.build`."""
        return StackedDenoiser(self, reduction)


class StackedDenoiser(nn.Module):
    """The same call as `ssldm.paper.denoiser.Denoiser`, by `diffusers.UNet2DModel`."""

    def __init__(self, config: StackedDenoiserConfig, reduction: int) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        self.config = config
        self.merge_net = config.merge_net.build(reduction)
        merge_net, levels = config.merge_net, len(config.multipliers)
        entering = merge_net.context_channels + config.lead_frames * merge_net.own_channels
        leaving = config.lead_frames * merge_net.latent_channels * (2 if config.gated else 1)
        last = "AttnDownBlock2D" if config.attention else "DownBlock2D"
        first = "AttnUpBlock2D" if config.attention else "UpBlock2D"
        self.backbone = UNet2DModel(
            in_channels=entering * config.patch**2,
            out_channels=leaving * config.patch**2,
            down_block_types=("DownBlock2D",) * (levels - 1) + (last,),
            up_block_types=(first,) + ("UpBlock2D",) * (levels - 1),
            block_out_channels=tuple(config.width * m for m in config.multipliers),
            layers_per_block=config.blocks,
            norm_num_groups=config.groups,
            attention_head_dim=_HEAD_CHANNELS,
        )
        nn.init.zeros_(self.backbone.conv_out.weight)
        nn.init.zeros_(self.backbone.conv_out.bias)

    def forward(self, noisy: Tensor, timestep: Tensor, condition: Condition) -> Tensor:
        """See `ssldm.paper.denoiser.Denoiser.forward`.

        Raises:
            ValueError: another number of lead frames.
        """
        if noisy.shape[1] != self.config.lead_frames:
            raise ValueError(f"expected {self.config.lead_frames} lead frames, found {noisy.shape[1]}")
        context, own = self.merge_net(noisy, condition)
        stacked = torch.cat([context, own.flatten(1, 2)], dim=1)
        folded = self.backbone(F.pixel_unshuffle(stacked, self.config.patch), timestep).sample
        prediction = F.pixel_shuffle(folded, self.config.patch).unflatten(1, (noisy.shape[1], -1))
        return apply_gate(prediction, noisy) if self.config.gated else prediction
