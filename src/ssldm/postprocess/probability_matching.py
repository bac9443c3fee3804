"""Members whose rain rates follow the distribution of the extrapolated ones, after sampling.

Ours, not the paper's. A network that has seen a few days of rain makes the rain of a thunderstorm out of that
of a weak front. STEPS guards against the like: each member gets the rain rates of the last observed frame
(`probmatching_method` in pySTEPS). Here they are only drawn towards those of the extrapolated frame,

    r ← r (F_ext⁻¹(F(r)) / r)^p,

with F and F_ext the distribution functions of the member's and the extrapolated rates where both are known.
What is dry stays dry: a member with less wet area than the extrapolation keeps that.
"""

import math

import torch
from pydantic import Field
from torch import Tensor

from ssldm.config import Config

# The distributions are known in steps of one per cent between these rain rates in mm/h. What is weaker stays
# as it is, and nothing is drawn below the first.
_LEAST, _MOST = 0.02, 1000.0
_STEP = 0.01
_STEPS = math.ceil(math.log(_MOST / _LEAST) / _STEP)


class ProbabilityMatchingConfig(Config):
    """How far a member's rain rates are drawn towards the distribution of the extrapolated ones.

    Attributes:
        power: p; 0 leaves members as they are, 1 gives their wet pixels that distribution.
    """

    power: float = Field(default=0.0, ge=0.0, le=1.0)


class ProbabilityMatching:
    """Draws members towards the distribution of the rain rates that are extrapolated.

    Args:
        extrapolated: ``(t, h, w)`` in mm/h; NaN counts for nothing. A frame of nothing else leaves members as
            they are.
        config: how far.
    """

    def __init__(self, extrapolated: Tensor, config: ProbabilityMatchingConfig) -> None:
        self.power = config.power
        self.wanted = _shares_up_to(_steps_above(extrapolated), extrapolated)
        self.known = extrapolated.isfinite().flatten(1).any(dim=1, keepdim=True)

    def __call__(self, rate: Tensor) -> Tensor:
        """A member ``(t, h, w)`` in mm/h; NaN stays and counts for nothing."""
        at = _steps_above(rate)
        # Of each step of the member's, the lowest of the extrapolation's up to which as much lies.
        target = torch.searchsorted(self.wanted, _shares_up_to(at, rate)).clamp_min(1)
        factor = (self.power * _STEP * (target - torch.arange(_STEPS + 1, device=at.device))).exp()
        factor[:, 0] = 1.0
        factor = torch.where(self.known, factor, 1.0)
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
