"""The invertible map between rain rate in mm/h and the range that the networks see."""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from ssldm.config import Config


class IntensityScaling(Config):
    """Rain rate to network units, and back.

    ``power``: x = 2 (R / R_max)^p - 1, so that dry is -1 and R_max is 1.
    ``reflectivity``: the published stored byte over 255, dBZ = 0.4 · byte - 30, Z = a R^b.

    Attributes:
        kind: which of the two.
        exponent: p.
        maximum: R_max in mm/h.
        zr_a, zr_b: Z-R relation of ``reflectivity``.
        dry_below: rates under this many mm/h come back as 0.
    """

    kind: Literal["power", "reflectivity"] = "power"
    exponent: PositiveFloat = 1.0 / 3.0
    maximum: PositiveFloat = 128.0
    zr_a: PositiveFloat = 200.0
    zr_b: PositiveFloat = 1.6
    dry_below: NonNegativeFloat = 0.05

    def to_network(self, rate: Tensor) -> Tensor:
        """Network units of a rain rate in mm/h (no NaN)."""
        if self.kind == "power":
            return 2.0 * (rate / self.maximum) ** self.exponent - 1.0
        reflectivity = 10.0 * torch.log10(self.zr_a * rate.clamp_min(1e-6) ** self.zr_b)
        return ((reflectivity + 30.0) / 102.0).clamp_min(0.0)

    def to_rate(self, x: Tensor) -> Tensor:
        """Rain rate in mm/h, never negative, of network units."""
        if self.kind == "power":
            rate = self.maximum * ((x + 1.0) / 2.0).clamp_min(0.0) ** (1.0 / self.exponent)
        else:
            rate = (10.0 ** ((102.0 * x - 30.0) / 10.0) / self.zr_a) ** (1.0 / self.zr_b)
        return self.set_dry(rate)

    def set_dry(self, rate: Tensor) -> Tensor:
        """Rain rate in mm/h, 0 where it is weaker than what counts as rain."""
        return torch.where(rate < self.dry_below, torch.zeros_like(rate), rate)
