"""Members whose strong rain follows the distribution of the extrapolated, after sampling.

Ours, not the paper's. A network that has seen a few days of rain makes the rain of a thunderstorm out of that
of a weak front. STEPS guards against the like: each member gets the rain rates of the last observed frame
(`probmatching_method` in pySTEPS). Here only strong rain is drawn towards that of equal rank in the
extrapolated frame,

    r ← r (F_ext⁻¹(F(r)) / r)^{p w(r)},

with F and F_ext the distribution functions of the member's and the extrapolated rates where both are known,
and w from 0 for the weaker part of the member's wet pixels to 1 for the strongest. Weak rain stays as it is:
its area is what the member knows better than the extrapolation.
"""

import math

import torch
from pydantic import Field
from torch import Tensor

from ssldm.config import Config

# The distributions are known in steps of one per cent between these rain rates in mm/h.
_LEAST, _MOST = 0.02, 1000.0
_STEP = 0.01
_STEPS = math.ceil(math.log(_MOST / _LEAST) / _STEP)


class ProbabilityMatchingConfig(Config):
    """How far strong rain is drawn towards the extrapolated distribution.

    Attributes:
        power: p; 0 leaves members as they are, with 1 the strongest rain is that of the extrapolation.
        kept: share of a member's wet pixels, the weakest, that stay as they are.
    """

    power: float = Field(default=0.0, ge=0.0, le=1.0)
    kept: float = Field(default=0.0, ge=0.0, lt=1.0)


class ProbabilityMatching:
    """Draws the strong rain of members towards the distribution of what is extrapolated.

    Args:
        extrapolated: ``(t, h, w)`` in mm/h; NaN counts for nothing. A frame of nothing else leaves members as
            they are.
        config: how far.
    """

    def __init__(self, extrapolated: Tensor, config: ProbabilityMatchingConfig) -> None:
        self.config = config
        self.wanted = _shares_up_to(_steps_above(extrapolated), extrapolated)
        self.known = extrapolated.isfinite().flatten(1).any(dim=1, keepdim=True)

    def __call__(self, rate: Tensor) -> Tensor:
        """A member ``(t, h, w)`` in mm/h; NaN stays and counts for nothing."""
        at = _steps_above(rate)
        shares = _shares_up_to(at, rate)
        # Of each step of the member's, the lowest of the extrapolation's up to which as much lies.
        target = torch.searchsorted(self.wanted, shares)
        dry = shares[:, :1]
        rank = (shares - dry) / (1.0 - dry).clamp_min(1e-6)
        steps = torch.arange(_STEPS + 1, device=at.device)
        power = self.config.power * ((rank - self.config.kept) / (1.0 - self.config.kept)).clamp_min(0.0)
        drawn = steps + power * (target - steps)
        # No pixel comes to rain harder than a stronger one.
        drawn = drawn.flip(1).cummin(dim=1).values.flip(1)
        factor = torch.where(self.known, (_STEP * (drawn - steps)).exp(), 1.0)
        return rate * factor.gather(1, at).view_as(rate)


def _steps_above(rate: Tensor) -> Tensor:
    """Numbers ``(t, h*w)`` of the steps that rain rates are in; 0 where they are weaker than the first."""
    steps = rate.nan_to_num(nan=0.0).clamp_min_(1e-6).div_(_LEAST).log_().div_(_STEP)
    return steps.floor_().add_(1).clamp_(0, _STEPS).long().flatten(1)


def _shares_up_to(steps: Tensor, rate: Tensor) -> Tensor:
    """Shares ``(t, n)`` of the rates that are known in each step or below it."""
    counts = rate.isfinite().to(rate.dtype).flatten(1)
    histogram = counts.new_zeros(len(steps), _STEPS + 1).scatter_add(1, steps, counts)
    return histogram.cumsum(dim=1) / counts.sum(dim=1, keepdim=True).clamp_min(1.0)
