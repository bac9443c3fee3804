"""Speckle: lone pixels of what is not rain (clutter, aircraft, interference) that a composite still holds."""

import numpy as np
from scipy.ndimage import convolve

from ssldm.radar.units import WET_MM_PER_HOUR, FloatArray

_LEAST_NEIGHBOURS = 2
_AROUND = np.array([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]], np.int8)


def remove_speckle(rate: FloatArray) -> FloatArray:
    """Frames with those pixels set dry that have rain and fewer than two wet neighbours of eight.

    Rain that small is gone by the next frame, and nothing that moves it on is right.

    Args:
        rate: ``(t, h, w)`` in mm/h, NaN unobserved, which counts as dry and stays NaN.

    Returns:
        ``(t, h, w)``
    """
    wet = rate >= WET_MM_PER_HOUR
    neighbours = convolve(wet.astype(np.int8), _AROUND, mode="constant")
    return np.where(wet & (neighbours < _LEAST_NEIGHBOURS), rate.dtype.type(0.0), rate)
