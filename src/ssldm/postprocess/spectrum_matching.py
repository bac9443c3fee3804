"""Members as sharp as the rain that is extrapolated: their power spectrum is drawn to its, after sampling.

Ours, not the paper's. What is uncertain in the finest scales is sampled at random and decoded to rain
rates, whose power is that of a few strong pixels: too much of it on weather that the network has not seen,
too little where cells have faded. How rough rain is changes little within the hour, so the last observed
frame knows it better. With C the discrete cosine transform of a tile (Denis et al. 2002; no edge meets the
opposite one), and P and P_ext the mean power of the member and of the extrapolation in bands of wavelength λ,

    r ← max(0, C⁻¹ g(λ) C r),    g(λ) = (P_ext / P)^(p/2) from 4 to 32 pixels,

shorter waves as at 4 pixels, longer ones as they are. P_ext counts what the extrapolation has lost. Linear
interpolation between pixels has taken, on average over where it falls, all but (2 + cos 2πf)/3 of the power
of frequency f along each axis; that is given back. Speckle has been taken from what is moved on, but a radar
will show as much of it elsewhere; its power is added. What is dry stays dry, and a frame keeps its mean.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ssldm.config import Config

# Wavelengths in pixels between which the spectrum is matched, two bands an octave, and the bounds of g.
_SHORTEST, _LONGEST = 4.0, 32.0
_BANDS = 1 + round(2.0 * np.log2(_LONGEST / _SHORTEST))
_LEAST_GAIN, _MOST_GAIN = 0.4, 1.6
# In (mm/h)²: power that counts as none.
_NO_POWER = 1e-6


class SpectrumMatchingConfig(Config):
    """How far a member's power spectrum is drawn towards that of the extrapolation.

    Attributes:
        power: p; 0 leaves members as they are, 1 gives them that spectrum, within bounds.
    """

    power: float = Field(default=0.0, ge=0.0, le=1.0)


class SpectrumMatching:
    """Draws members on a tile towards the spectrum of what is extrapolated to it.

    Args:
        extrapolated: ``(t, h, w)`` in mm/h; NaN counts for nothing.
        observed: ``(t, h, w)``, where the spectra are taken; all else is dry to them.
        speckle: of the last observed frame, not in the extrapolation, ``(h, w)`` in mm/h.
        config: how far.
    """

    def __init__(
        self, extrapolated: Tensor, observed: Tensor, speckle: Tensor, config: SpectrumMatchingConfig
    ) -> None:
        self.power = config.power
        self.counts = (observed & extrapolated.isfinite()).numpy()
        height, width = self.counts.shape[-2:]
        self.waves = _waves(height, width)
        coefficients = _transform(np.where(self.counts, extrapolated.nan_to_num(nan=0.0).numpy(), 0.0))
        share = self.counts.mean(axis=(-2, -1), dtype=np.float64)[:, None]
        self.wanted = self.waves.power(coefficients / self.waves.interpolated)
        self.wanted += share * self.waves.power(_transform(speckle[None].numpy()))

    def __call__(self, rate: Tensor) -> Tensor:
        """A member ``(t, h, w)`` in mm/h."""
        found = self.waves.power(_transform(np.where(self.counts, rate.numpy(), 0.0)))
        ratio = (self.wanted + _NO_POWER) / (found + _NO_POWER)
        gain = np.clip(ratio ** (0.5 * self.power), _LEAST_GAIN, _MOST_GAIN).astype(np.float32)
        filtered = scipy.fft.idctn(
            _transform(rate.numpy()) * self.waves.spread(gain), axes=(-2, -1), norm="ortho"
        )
        matched = torch.from_numpy(filtered).clamp_min(0.0) * (rate > 0.0)
        kept = rate.mean(dim=(-2, -1), keepdim=True) / matched.mean(dim=(-2, -1), keepdim=True).clamp_min(
            1e-9
        )
        return matched * kept


class _Waves:
    """The waves of the cosine transform of a tile.

    Attributes:
        position: of each wave among the bands, ``(h, w)``: 0 is 4 pixels long or less, `_BANDS` is too long.
        band: the nearest band, ``(h*w,)``; `_BANDS` and one more for too long and too short.
        interpolated: share of a wave's amplitude that linear interpolation leaves, ``(h, w)``.
    """

    def __init__(self, height: int, width: int) -> None:
        rows, columns = (np.arange(n) / (2.0 * n) for n in (height, width))
        with np.errstate(divide="ignore"):
            octaves = -np.log2(np.hypot(rows[:, None], columns) * _SHORTEST)
        self.position = np.clip(2.0 * octaves, 0.0, _BANDS)
        nearest = np.round(np.clip(2.0 * octaves, -1.0, _BANDS)).astype(int).ravel()
        self.band = np.where(nearest < 0, _BANDS + 1, nearest)
        self.number = np.bincount(self.band, minlength=_BANDS + 2)[:_BANDS]
        left = ((2.0 + np.cos(2.0 * np.pi * f)) / 3.0 for f in (rows[:, None], columns))
        self.interpolated = np.sqrt(np.multiply(*left)).astype(np.float32)

    def power(self, coefficients: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean power ``(t, bands)`` of frames ``(t, h, w)``; 0 for waves that the tile has not."""
        totals = [
            np.bincount(self.band, np.square(frame).ravel(), minlength=_BANDS + 2)[:_BANDS]
            for frame in coefficients
        ]
        return np.asarray(np.stack(totals) / self.number.clip(1))

    def spread(self, gain: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gains ``(t, bands)`` between the bands, and one for longer waves, ``(t, h, w)``."""
        gain = np.pad(gain, ((0, 0), (0, 2)), constant_values=1.0)
        lower = self.position.astype(int)
        part = (self.position - lower).astype(np.float32)
        return np.asarray((1.0 - part) * gain[:, lower] + part * gain[:, lower + 1])


@lru_cache(maxsize=4)
def _waves(height: int, width: int) -> _Waves:
    return _Waves(height, width)


def _transform(rate: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(scipy.fft.dctn(rate, axes=(-2, -1), norm="ortho"))
