"""How the rain changed on its way: the earlier context frames, moved on to each lead time.

Ours, not the paper's, whose network must find in frames that lie apart what became of one and the same
shower. Moved along the motion they lie on each other, and the change is a difference at one place. STEPS and
S-PROG take the persistence of rain from such differences, over the whole domain; here every place has its
own.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.nn.intensity_scaling import IntensityScaling
from ssldm.radar.motion import Extrapolation, advect


def motion_history(
    context: NDArray[np.float32], moved: Extrapolation, scaling: IntensityScaling, stride: int
) -> Tensor:
    """Two channels for each earlier context frame, the latest first, at the size of latents.

    Of the scaled rain above dry: its mean over a latent pixel, and the mean absolute difference from that of
    the extrapolated last frame. What is unobserved or comes from outside the domain counts as dry.

    Args:
        context: ``(t_in, H, W)`` in mm/h, NaN unobserved.
        moved: its extrapolation to ``t_out`` lead times.
        scaling: of the model.
        stride: pixels a latent pixel; a part of one at the edge is filled up with dry.

    Returns:
        ``(t_out, 2*(t_in - 1), h, w)``
    """

    def above_dry(rate: NDArray[np.floating]) -> Tensor:
        known = torch.from_numpy(np.nan_to_num(np.maximum(rate, 0.0), nan=0.0).astype(np.float32))
        return scaling.to_network(known) - scaling.to_network(torch.zeros(()))

    def mean(field: Tensor) -> Tensor:
        height, width = field.shape[-2:]
        return F.avg_pool2d(F.pad(field, (0, -width % stride, 0, -height % stride)), stride)

    steps = len(moved.rate)
    latest = above_dry(moved.rate)
    channels = []
    for earlier, frame in enumerate(context[-2::-1], start=1):
        there = above_dry(advect(np.nan_to_num(frame, nan=0.0), moved.motion, steps + earlier)[earlier:])
        channels += [mean(there), mean((latest - there).abs())]
    return torch.stack(channels, dim=1)
