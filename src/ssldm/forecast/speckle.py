"""Speckle: lone pixels of what is not rain (clutter, aircraft, interference) that a composite still holds."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.radar.units import WET_MM_PER_HOUR

_LEAST_NEIGHBOURS = 2


def remove_speckle(rate: Tensor) -> Tensor:
    """Frames with those pixels set dry that have rain and fewer than two wet neighbours of eight.

    Rain that small is gone by the next frame, and nothing that moves it on is right.

    Args:
        rate: ``(..., t, h, w)`` in mm/h, NaN unobserved, which counts as dry and stays NaN.
    """
    wet = (rate >= WET_MM_PER_HOUR).to(torch.float32)
    around = 9.0 * F.avg_pool2d(wet, 3, stride=1, padding=1) - wet
    lone = (wet > 0.0) & (around < _LEAST_NEIGHBOURS - 0.5)
    return torch.where(lone, 0.0, rate)
