"""A plain U-Net from context to lead frames, the learned deterministic baseline; backbone of `diffusers`."""

from typing import Self

import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.paper.levels import Multipliers, check_groups


class UNetConfig(Config):
    """Sizes of the U-Net.

    Attributes:
        width: channels at the finest level; `multipliers` gives those of each level.
        multipliers: of `width`, for the channels of each level, the finest first; one level for each.
        blocks: residual blocks a level on the way down (one more on the way up).
        patch: side of the square of pixels folded into channels at the entrance.
        groups: groups of all group normalisations.
    """

    width: PositiveInt = 64
    multipliers: Multipliers = (1, 2, 2, 4)
    blocks: PositiveInt = 1
    patch: PositiveInt = 2
    groups: PositiveInt = 8

    @model_validator(mode="after")
    def _widths_divide(self) -> Self:
        check_groups(self.width, self.multipliers, self.groups)
        return self

    @property
    def stride(self) -> int:
        """Frame height and width must be multiples of this."""
        return int(self.patch * 2 ** (len(self.multipliers) - 1))

    def build(self, context_frames: int, lead_frames: int) -> "UNet":
        """A U-Net with fresh weights."""
        return UNet(self, context_frames, lead_frames)


class UNet(nn.Module):
    """Context frames as channels in, lead frames as channels out."""

    def __init__(self, config: UNetConfig, context_frames: int, lead_frames: int) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        levels = len(config.multipliers)
        self.patch = config.patch
        self.backbone = UNet2DModel(
            in_channels=context_frames * config.patch**2,
            out_channels=lead_frames * config.patch**2,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            block_out_channels=tuple(config.width * m for m in config.multipliers),
            layers_per_block=config.blocks,
            norm_num_groups=config.groups,
            add_attention=False,
        )

    def forward(self, context: Tensor) -> Tensor:
        """Lead frames ``(b, t_out, h, w)`` of context frames ``(b, t_in, h, w)``, both in network units."""
        # The backbone is made for diffusion: its timestep is a constant here.
        folded = self.backbone(F.pixel_unshuffle(context, self.patch), 0).sample
        return F.pixel_shuffle(folded, self.patch)
