"""Random displacements: what is uncertain about where rain will be, beside how much there will be.

Ours, not the paper's. STEPS perturbs the motion of each member, too, by one vector for the whole domain
(Bowler et al. 2006). Here it is a smooth random field, so that showers are elsewhere in each member, but
whole: small scales are uncertain then without noise that tears them apart.
"""

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from ssldm.config import Config
from ssldm.model.gaussian_blur import gaussian_blur

_TRUNCATE = 2.5
# Displacements in deviations are no larger.
MOST = 3.0


class DisplacementConfig(Config):
    """Random displacements.

    Attributes:
        smoothing: deviation in pixels of the Gaussian that makes them of white noise.
        spacing: pixels between the places that they are drawn at.
    """

    smoothing: PositiveFloat = 32.0
    spacing: PositiveInt = 16


def unit_displacements(
    count: int, height: int, width: int, config: DisplacementConfig, generator: torch.Generator
) -> Tensor:
    """Random fields of unit variance on a domain.

    Returns:
        ``(n, 2, h', w')``, x then y, at every `DisplacementConfig.spacing`-th pixel from the first on.
    """
    deviation = config.smoothing / config.spacing
    edge = round(_TRUNCATE * deviation)
    rows, columns = (-(-(max(size, 2) - 1) // config.spacing) + 1 for size in (height, width))
    size = count, 2, rows + 2 * edge, columns + 2 * edge
    white = torch.randn(size, generator=generator, device=generator.device)
    smooth = gaussian_blur(white, deviation, _TRUNCATE)[..., edge : edge + rows, edge : edge + columns]
    places = torch.arange(-edge, edge + 1, device=generator.device)
    weights = torch.exp(-0.5 * (places / deviation).square())
    gain = weights.sum().square() / weights.square().sum()
    return (smooth * gain).clamp(-MOST, MOST)
