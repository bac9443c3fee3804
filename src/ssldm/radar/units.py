"""Reflectivity, accumulation and rain rate."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssldm.config import Config

FloatArray = NDArray[np.floating[Any]]
# What counts as rain where a pixel is either wet or dry.
WET_MM_PER_HOUR = 0.1


class ZRRelation(Config):
    """Z = a R^b, Z in mm⁶ m⁻³ and R in mm/h; the defaults are those of Marshall and Palmer (1948)."""

    a: float = 200.0
    b: float = 1.6

    def rain_rate(self, reflectivity: FloatArray) -> FloatArray:
        """Rain rate in mm/h of reflectivity in dBZ; NaN stays NaN, minus infinity becomes 0."""
        return np.asarray((10.0 ** (reflectivity / 10.0) / self.a) ** (1.0 / self.b))


def rate_of_accumulation(accumulation: FloatArray, minutes: float) -> FloatArray:
    """Rain rate in mm/h of an accumulation in mm over ``minutes``."""
    return accumulation * (60.0 / minutes)
