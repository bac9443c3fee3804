"""What is expected of the rain to come: a mean, in latents, and deviations in bands of wavelength.

Ours, not the paper's. A member of the ensemble is D X + Σ_k σ_k n_k in network units, X the decoded mean, D
a random displacement (`ssldm.model.displacement`), n_k the storm's noise (`ssldm.model.storm_noise`). Mean
and deviations are trained together, by the CRPS of members made so (`ssldm.training.prior_module`). CorrDiff
(Mardani et al. 2023) regresses first, too; its regression learns a mean alone.

    mean = c (Σ_k a_k G_k w + a' w + A (b + b')),  σ_k = V_k exp(s_k + s_k'),
    (a', b', s') = f(w₁, w₂, history, their means)

with w the waves of the extrapolated rain (of two motions, w₁ and w₂, and their mean w), G_0 the identity,
G_1 … Gaussian means over the extrapolated waves that are covered, and c the covered share: ever less can be
known of rain's small scales, and the mean of a wider neighbourhood then says more than the pixel. S-PROG
(Seed 2003) fades its cascade for the same reason. A tells from 0 to 1 whether rain is around: where none is
near, none comes. V_k is the variability of the extrapolated rain around (STEPS has that of parts of the
domain, Nerini et al. 2017): even rain stays even. What the earlier frames had at the place
(`Carried.history`) tells where rain changes on its way, so that less of it will be kept.
"""

from dataclasses import dataclass

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.model.gaussian_blur import gaussian_blur
from ssldm.model.prior_network import PriorNetwork

# Coverage that counts as none: what lies beyond it is not made up.
_LEAST_SHARE = 0.05
# ln σ - ln V starts as the first, and the network changes it by no more than the second.
_START, _BOUND = -2.5, 3.0
# Variability that rain has at least, and blocks around that the variability of each band is taken from.
_LEAST = 0.05
_FINE, _NEAR, _FAR = 4.0, 2.0, 8.0
# Rain around: half of A_1, and what counts as none.
_HALF, _NONE = 0.25, 0.01
# Deviation of displacements that training starts from.
_PIXELS_A_STEP = 0.8


class PriorConfig(Config):
    """Sizes of the network.

    Attributes:
        width: channels.
        reaches: deviations in latent pixels of the Gaussian means that enter the regression.
        network_reaches: of those that enter the network.
    """

    width: PositiveInt = 128
    reaches: tuple[PositiveFloat, ...] = (1.0, 2.0, 4.0, 8.0)
    network_reaches: tuple[PositiveFloat, ...] = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Expectation:
    """Mean of the waves and logarithms of the deviations in each band.

    Attributes:
        waves: ``(b, t, c, h, w)``, scaled.
        log_deviation: ``(b, t, k, h, w)``, of network units.
    """

    waves: Tensor
    log_deviation: Tensor


class Prior(nn.Module):
    """From the carried context to the expectation.

    Args:
        config: sizes.
        channels: of latents.
        history: channels of the history.
        bands: of the noise.
        frames: number of lead times.
    """

    def __init__(self, config: PriorConfig, channels: int, history: int, bands: int, frames: int) -> None:
        super().__init__()
        self.config = config
        self.channels = channels
        slope = torch.zeros(1 + len(config.reaches), frames, channels)
        slope[0] = torch.exp(-torch.arange(1, frames + 1) / frames)[:, None]
        self.slope = nn.Parameter(slope)
        self.offset = nn.Parameter(torch.zeros(frames, channels))
        self.log_deviation = nn.Parameter(torch.full((frames, bands), _START))
        self.displacement = nn.Parameter(torch.log(_PIXELS_A_STEP * torch.arange(1.0, frames + 1)))
        broad = 2 + history
        entering = 2 * channels + 1 + history + broad * len(config.network_reaches)
        self.network = PriorNetwork(config.width, entering, 2 * channels + bands, frames)

    def forward(self, waves: Tensor, coverage: Tensor, history: Tensor, leads: Tensor) -> Expectation:
        """What is expected.

        Args:
            waves: ``(b, t, 2, c, h, w)``, scaled, of the extrapolations along both motions.
            coverage: ``(b, t, 1, h, w)``.
            history: ``(b, t, c', h, w)``.
            leads: ``(t,)``, numbers of the lead times, 0 for the first.
        """
        mean = waves.mean(dim=2)
        means = [mean, *(_covered_mean(mean, coverage, reach) for reach in self.config.reaches)]
        slopes = _per_pixel(self.slope[:, leads])
        regression = sum(slope * smooth for slope, smooth in zip(slopes, means, strict=True))
        entering = self._entering(waves, mean, coverage, history)
        size = entering.shape[:2]
        numbers = leads.expand(size).flatten()
        out = self.network(entering.flatten(0, 1), numbers).float().unflatten(0, size)
        bands = self.log_deviation.shape[-1]
        slope, offset, log = out.split([self.channels, self.channels, bands], dim=2)
        offset = _around(mean[:, :, :1], coverage) * (_per_pixel(self.offset[leads]) + offset)
        change = _per_pixel(self.log_deviation[leads]) + _BOUND * torch.tanh(log / _BOUND)
        log = _variability(mean, coverage, bands).log() + change
        return Expectation(coverage * (regression + slope * mean + offset), log)

    def _entering(self, waves: Tensor, mean: Tensor, coverage: Tensor, history: Tensor) -> Tensor:
        """What the network sees, ``(b, t, c', h, w)``."""
        # The first wave is the mean of a block; of the finer ones, their strength alone.
        detail = mean[:, :, 1:].square().mean(dim=2, keepdim=True).sqrt()
        broad = torch.cat([mean[:, :, :1], detail, history], dim=2)
        means = [_covered_mean(broad, coverage, reach) for reach in self.config.network_reaches]
        return torch.cat([waves.flatten(2, 3), coverage, history, *means], dim=2)


def _variability(mean: Tensor, coverage: Tensor, bands: int) -> Tensor:
    """Deviation of the extrapolated rain around from its own means, band by band, ``(b, t, k, h, w)``."""
    first, detail = mean[:, :, :1], mean[:, :, 1:].square().mean(dim=2, keepdim=True)
    fine = _covered_mean(detail, coverage, _FINE)
    near = _covered_mean(first, coverage, _NEAR)
    middle = _covered_mean((first - near).square(), coverage, _FAR)
    far = _covered_mean(near, coverage, _FAR)
    coarse = (_covered_mean(near.square(), coverage, _FAR) - far.square()).clamp_min(0.0)
    power = torch.cat([fine] * (bands - 2) + [middle, coarse], dim=2)
    return (power + _LEAST**2).sqrt()


def _around(first: Tensor, coverage: Tensor) -> Tensor:
    """Whether rain is around, 0 to 1, ``(b, t, 1, h, w)``."""
    strength = (_covered_mean(first.square(), coverage, 1.0) + _NONE**2).sqrt()
    return strength / (strength + _HALF)


def _covered_mean(x: Tensor, coverage: Tensor, reach: float) -> Tensor:
    """Gaussian mean of what is covered."""
    covered = gaussian_blur(coverage, reach, truncate=2.5).clamp_min(_LEAST_SHARE)
    return gaussian_blur(x * coverage, reach, truncate=2.5) / covered


def _per_pixel(values: Tensor) -> Tensor:
    """Values ``(..., c)`` of channels as ``(..., c, 1, 1)``."""
    return values[..., None, None]
