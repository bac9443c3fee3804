"""The patch discriminator: which patches of a frame were observed, and which decoded?"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

LEAST_PATCHES = 3
"""Side of the smallest frame that gives a logit, in pixels, after its halvings."""


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): a logit for every patch, high where it looks observed.

    Args:
        width: channels of the first layer; each of ``layers`` halves the size and doubles them.
        layers: number of them; two see patches of 34 pixels, three of 70.
    """

    def __init__(self, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        widths = [1, *(width * 2**i for i in range(layers))]
        self.halving = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(
            nn.GroupNorm(8, channels) if i else nn.Identity() for i, channels in enumerate(widths[1:])
        )
        self.mixing = nn.Conv2d(widths[-1], 2 * widths[-1], 4, padding=1)
        self.mixing_norm = nn.GroupNorm(8, 2 * widths[-1])
        self.out = nn.Conv2d(2 * widths[-1], 1, 4, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames ``(n, 1, H, W)`` in network units → logits ``(n, 1, h', w')``."""
        x = frames
        for convolution, norm in zip(self.halving, self.norms, strict=True):
            x = F.leaky_relu(norm(convolution(x)), 0.2)
        x = F.leaky_relu(self.mixing_norm(self.mixing(x)), 0.2)
        logits: Tensor = self.out(x)
        return logits


def hinge_loss(observed: Tensor, decoded: Tensor) -> Tensor:
    """½ ⟨max(0, 1 - D(x)) + max(0, 1 + D(x̂))⟩ of the logits of observed and decoded frames."""
    return 0.5 * (F.relu(1.0 - observed).mean() + F.relu(1.0 + decoded).mean())
