"""The network of a prior, of single frames at the size of latents."""

import torch.nn.functional as F
from torch import Tensor, nn


class PriorNetwork(nn.Module):
    """From frames and the numbers of their lead times to corrections that start as zero.

    It sees the blocks next to each; what lies further off comes as means among the channels.

    Args:
        width: channels inside.
        entering, leaving: channels in and out.
        frames: number of lead times.
    """

    def __init__(self, width: int, entering: int, leaving: int, frames: int) -> None:
        super().__init__()
        self.lead = nn.Embedding(frames, width)
        nn.init.normal_(self.lead.weight, std=0.1)
        self.enter = nn.Conv2d(entering, width, 3, padding=1)
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(2))
        self.leave = nn.Conv2d(width, leaving, 1)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, lead: Tensor) -> Tensor:
        """``(n, c, h, w)``, lead ``(n,)`` → ``(n, c', h, w)``"""
        embedding = self.lead(lead)[..., None, None]
        x = F.silu(self.enter(x) + embedding)
        x = x + F.silu(self.mix[0](x))
        x = x + F.silu(self.near(x))
        x = x + F.silu(self.mix[1](x) + embedding)
        out: Tensor = self.leave(x)
        return out
