"""The network of a prior, of single frames at the size of latents: it sees few blocks around, or a storm."""

import torch.nn.functional as F
from torch import Tensor, nn


class PriorNetwork(nn.Module):
    """From frames and the numbers of their lead times to corrections that start as zero.

    Residual blocks at the size of latents, and between them, where there are levels, at halves and quarters
    of it: what grows or decays depends on more than what lies next to it.

    Args:
        width: channels inside, at all sizes.
        levels: how often the size is halved.
        entering, leaving: channels in and out.
        frames: number of lead times.
    """

    def __init__(self, width: int, levels: int, entering: int, leaving: int, frames: int) -> None:
        super().__init__()
        self.lead = nn.Embedding(frames, width)
        nn.init.normal_(self.lead.weight, std=0.1)
        self.enter = nn.Conv2d(entering, width, 3, padding=1)
        self.down = nn.ModuleList(_Block(width) for _ in range(levels))
        self.up = nn.ModuleList(_Block(width) for _ in range(levels))
        self.middle = _Block(width)
        self.leave = nn.Conv2d(width, leaving, 1)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, lead: Tensor) -> Tensor:
        """``(n, c, h, w)``, lead ``(n,)`` → ``(n, c', h, w)``"""
        embedding = self.lead(lead)[..., None, None]
        x = F.silu(self.enter(x) + embedding)
        skipped = []
        for block in self.down:
            x = block(x, embedding)
            skipped.append(x)
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        x = self.middle(x, embedding)
        for block in self.up:
            skip = skipped.pop()
            coarse = F.interpolate(x, scale_factor=2.0, mode="bilinear")[
                ..., : skip.shape[-2], : skip.shape[-1]
            ]
            x = block(skip + coarse, embedding)
        out: Tensor = self.leave(x)
        return out


class _Block(nn.Module):
    """Of each place, of those around it, and of each place again."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(2))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """``(n, c, h, w)`` → ``(n, c, h, w)``"""
        x = x + F.silu(self.mix[0](x))
        x = x + F.silu(self.near(x))
        return x + F.silu(self.mix[1](x) + embedding)
