"""The condition of a prior: the context frames, carried along two estimates of their motion."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Carried:
    """The context at each of t lead times, in network units above dry.

    Of the two motions the first was tracked, the second is the mean of two estimates; where they take the
    same rain apart, it is not well known where that will be. What is unobserved or comes from outside the
    domain counts as dry.

    Attributes:
        extrapolated: ``(b, t, 2, H, W)``, the last frame along each motion.
        observed: ``(b, t, H, W)``, whether all context frames are observed at the pixel and at its origin
            along the tracked motion.
        history: ``(b, t, 4*t_in - 2, h, w)``, means over blocks: of the earlier frames, the latest first, and
            of their absolute difference from the extrapolation, along the tracked motion; then of all frames
            along the second, the last one compared with the extrapolation, the earlier ones with it.
    """

    extrapolated: Tensor
    observed: Tensor
    history: Tensor

    @property
    def coverage(self) -> Tensor:
        """Observed share of blocks, ``(b, t, 1, h, w)``."""
        stride = self.observed.shape[-1] // self.history.shape[-1]
        return F.avg_pool2d(self.observed.float(), stride)[:, :, None]
