"""How the rain changed on its way: the earlier context frames, moved on to each lead time.

Ours, not the paper's, whose network must find in frames that lie apart what became of one and the same
shower. Moved along the motion they lie on each other, and the change is a difference at one place. STEPS and
S-PROG take the persistence of rain from such differences, over the whole domain; here every place has its
own. The same by a second estimate of the motion tells how well that is known.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.model.scaling import IntensityScaling
from ssldm.radar.motion import Extrapolation, advect, mean_motion


def motion_history(
    context: NDArray[np.float32], moved: Extrapolation, scaling: IntensityScaling, stride: int
) -> Tensor:
    """Two channels for each context frame that is moved along, at the size of latents.

    Of the scaled rain above dry: its mean over a latent pixel, and the mean absolute difference from that of
    a last frame moved along. First of the earlier frames, the latest first, along the motion of the
    extrapolation; then of all frames along a second motion (`mean_motion`), where the last one is compared
    with the extrapolation and the earlier ones with it. What is unobserved or comes from outside the domain
    counts as dry.

    Args:
        context: ``(t_in, H, W)`` in mm/h, NaN unobserved.
        moved: its extrapolation to ``t_out`` lead times.
        scaling: of the model.
        stride: pixels a latent pixel; a part of one at the edge is filled up with dry.

    Returns:
        ``(t_out, 4*t_in - 2, h, w)``
    """

    def above_dry(rate: NDArray[np.floating]) -> Tensor:
        known = torch.from_numpy(np.nan_to_num(np.maximum(rate, 0.0), nan=0.0).astype(np.float32))
        return scaling.to_network(known) - scaling.to_network(torch.zeros(()))

    def mean(field: Tensor) -> Tensor:
        height, width = field.shape[-2:]
        return F.avg_pool2d(F.pad(field, (0, -width % stride, 0, -height % stride)), stride)

    steps = len(moved.rate)
    frames = np.nan_to_num(context[::-1], nan=0.0)
    channels = []
    compared = above_dry(moved.rate)
    for motion, first in ((moved.motion, 1), (mean_motion(context, moved.motion), 0)):
        for age, frame in enumerate(frames[first:], start=first):
            there = above_dry(advect(frame, motion, steps + age)[age:])
            channels += [mean(there), mean((compared - there).abs())]
            if age == 0:
                compared = there
    return torch.stack(channels, dim=1)
