"""Members whose rain amounts follow those of the extrapolated frames, after sampling.

Ours, not the paper's. A network that has seen a few days of rain makes the rain of a thunderstorm out of that
of a weak front. STEPS guards against the like: each member gets the rain rates of the last observed frame
(`probmatching_method` in pySTEPS). Here only the mean of the surroundings is drawn towards theirs,

    r ← r · (⟨r_ext⟩ / ⟨r⟩)^p,

with ⟨·⟩ a Gaussian mean over what is observed.
"""

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from ssldm.config import Config
from ssldm.nowcast.gaussian_blur import gaussian_blur

# Side in pixels of the blocks whose means are averaged: far below the reach, and cheap.
_BLOCK = 8
# mm/h, added to both means: no rain is not drawn towards a hundred times no rain.
_LEAST = 0.02


class MeanMatchingConfig(Config):
    """How far a member's mean rain is drawn towards the extrapolated.

    Attributes:
        power: p; 0 leaves members as they are, 1 gives them the extrapolated mean.
        reach: deviation of the Gaussian in pixels.
    """

    power: NonNegativeFloat = 0.0
    reach: PositiveInt = 128


def match_mean(rate: Tensor, extrapolated: Tensor, observed: Tensor, config: MeanMatchingConfig) -> Tensor:
    """A member with its mean drawn towards the extrapolated one, ``(t, h, w)`` in mm/h.

    Args:
        rate: of the member, in mm/h.
        extrapolated: in mm/h; NaN counts for nothing.
        observed: where the means are taken.
        config: how far.
    """
    if config.power == 0.0:
        return rate
    counts = observed & extrapolated.isfinite()
    share = _surroundings(counts.float(), config.reach) + 1e-6
    wanted, found = (
        _surroundings(torch.where(counts, field, 0.0), config.reach) / share + _LEAST
        for field in (extrapolated, rate)
    )
    factor = F.interpolate(
        ((wanted / found) ** config.power)[:, None],
        size=rate.shape[-2:],
        mode="bilinear",
        align_corners=False,
    )
    return rate * factor[:, 0]


def _surroundings(field: Tensor, reach: int) -> Tensor:
    """Gaussian means of blocks, ``(t, h, w)`` → ``(t, h', w')``; beyond the edges is nothing."""
    blocks = F.avg_pool2d(field[:, None], _BLOCK, ceil_mode=True, count_include_pad=False)
    return gaussian_blur(blocks[:, 0], reach / _BLOCK, truncate=2.0)
