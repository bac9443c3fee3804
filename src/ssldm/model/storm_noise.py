"""Noise that looks like the storm at hand: its spectrum and its directions, in bands of wavelength.

Ours, not the paper's. White noise is filtered by the amplitude that the observed frames have at each wave, as
STEPS does for the whole domain (Bowler et al. 2006; Nerini et al. 2017 for parts of it). How strong it is in
each band and at each place is not the storm's but learned (`ssldm.model.prior`): large and small scales of
rain are not equally well known, nor are fronts and showers.
"""

from itertools import pairwise

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from ssldm.config import Config


class StormNoiseConfig(Config):
    """The noise's bands and memory.

    Attributes:
        edges: wavelengths in pixels between the bands, increasing.
        blend: width of the passage from one band to the next, in octaves.
        memory: correlation of one lead frame's noise with the next's, in air that moves with the rain.
        floor: share of the variance that has the spectrum of rain in general, isotropic, so that a context of
            a few pixels is no line or comb.
        slope: of that spectrum, as a power of the wave number.
        sharpness: power that the storm's amplitudes are raised to within each band: above 1 what stands out
            of its spectrum, its directions, does so more, and bands stay as straight as observed ones.
    """

    edges: tuple[PositiveFloat, ...] = (6.0, 16.0, 48.0)
    blend: PositiveFloat = 1.0
    memory: NonNegativeFloat = 0.9
    floor: NonNegativeFloat = 0.02
    slope: PositiveFloat = 2.5
    sharpness: PositiveFloat = 1.5

    @property
    def bands(self) -> int:
        """How many there are, the finest first."""
        return len(self.edges) + 1


def storm_filters(context: Tensor, config: StormNoiseConfig) -> Tensor:
    """The amplitude of each wave in each band, such that filtered white noise has unit variance.

    Args:
        context: ``(b, t_in, h, w)`` in network units above dry, no NaN.
        config: bands.

    Returns:
        ``(b, k, h, w // 2 + 1)``
    """
    height, width = context.shape[-2:]
    number = _wave_number(height, width, context.device)
    taper = torch.outer(*(_root_hann(n, context.device) for n in (height, width)))
    mean = (context * taper**2).mean(dim=(-2, -1), keepdim=True) / (taper**2).mean()
    power = torch.fft.rfft2((context - mean) * taper).abs().square().mean(dim=1)
    general = number.clamp_min(1.0 / max(height, width)) ** -config.slope
    total = _total(power, width)
    share = torch.where(total > 0.0, power / total.clamp_min(1e-12), 0.0)
    power = share + config.floor * general / _total(general, width)
    filters = power[:, None].pow(0.5 * config.sharpness) * _bands(number, config).sqrt()
    # Variance of filtered unit white noise: the mean of the squared amplitude over all waves.
    variance = _total(filters.square(), width) / (height * width)
    return filters / variance.clamp_min(1e-20).sqrt()


def filtered(white: Tensor, filters: Tensor) -> Tensor:
    """White noise ``(..., h, w)`` with the amplitudes ``(..., h, w // 2 + 1)``, which broadcast to it."""
    noise: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) * filters, s=white.shape[-2:])
    return noise


def _wave_number(height: int, width: int, device: torch.device) -> Tensor:
    """Waves a pixel, ``(h, w // 2 + 1)``."""
    rows = torch.fft.fftfreq(height, device=device)
    columns = torch.fft.rfftfreq(width, device=device)
    return torch.hypot(rows[:, None], columns)


def _bands(number: Tensor, config: StormNoiseConfig) -> Tensor:
    """Share of each band in the power at each wave, ``(k, h, w // 2 + 1)``: 1 in all, of the mean 0."""
    octave = -torch.log2(number.clamp_min(1e-6))
    above = [torch.ones_like(number)]
    for edge in config.edges:
        distance = (octave - torch.log2(torch.tensor(edge))) / config.blend
        above.append(0.5 + 0.5 * torch.sin(torch.pi * distance.clamp(-0.5, 0.5)))
    above.append(torch.zeros_like(number))
    return torch.stack([finer - coarser for finer, coarser in pairwise(above)]) * (number > 0.0)


def _total(power: Tensor, width: int) -> Tensor:
    """Sum over all waves of what is given for half of them, ``(..., 1, 1)``."""
    twice = torch.full((power.shape[-1],), 2.0, device=power.device)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    return (power * twice).sum(dim=(-2, -1), keepdim=True)


def _root_hann(length: int, device: torch.device) -> Tensor:
    return torch.sin(torch.pi * (torch.arange(length, device=device) + 0.5) / length)
