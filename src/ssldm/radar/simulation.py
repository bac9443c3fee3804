"""A simulated storm: a stochastic rain field that is advected, grows and decays."""

from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.checks import positive, whole_number
from ssldm.config import Config
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations

_MOST = 1 << 16


class StormConfig(Config):
    """The storm's character.

    Attributes:
        slope: exponent of the power spectrum of the Gaussian field, power ~ k^-slope.
        outer_scale: wavelength in pixels above which the spectrum is flat.
        lifetime: e-folding time in steps of a structure of the outer scale; it shortens as wavelength^0.8.
        wind: motion in pixels a step, x then y (rows downwards).
        growth_period: period in steps of growth and decay of the whole storm.
        wet_fraction: share of wet pixels, on average.
        median_rate: median of the wet pixels in mm/h.
        decades: spread of the rain rate, in powers of ten a standard deviation of the field.
    """

    slope: float = 3.4
    outer_scale: float = 96.0
    lifetime: float = 60.0
    wind: tuple[float, float] = (2.0, 0.8)
    growth_period: float = 40.0
    wet_fraction: float = 0.25
    median_rate: float = 1.2
    decades: float = 0.7


def simulate(
    frames: int = 20,
    shape: tuple[int, int] = (256, 256),
    *,
    seed: int = 0,
    step_minutes: float = 5.0,
    pixel_size: float = 1000.0,
    config: StormConfig | None = None,
) -> xr.DataArray:
    """A simulated storm as observations ``(time, y, x)`` in mm/h; its ``product`` says that it is simulated.

    Args:
        frames: number of frames.
        shape: rows and columns.
        seed: of the random numbers.
        step_minutes: time between frames.
        pixel_size: in metres.
        config: the storm's character.

    Raises:
        ConfigurationError: arguments out of their bounds.
    """
    config = config or StormConfig()
    frames = whole_number("frames", frames, 1, _MOST)
    sides = shape if isinstance(shape, Sequence) and len(shape) == 2 else (None, None)
    shape = (whole_number("rows", sides[0], 1, _MOST), whole_number("columns", sides[1], 1, _MOST))
    seed = whole_number("seed", seed, 0, 2**63 - 1)
    pixel_size = positive("pixel_size", pixel_size)
    seconds = whole_number("seconds a step", round(60 * positive("step_minutes", step_minutes)), 1, 86_400)
    # A margin keeps the periodic domain's far side from re-entering the picture.
    margin = int(np.ceil(frames * max(map(abs, config.wind)))) + 16
    rates = list(islice(endless_storm(shape, np.random.default_rng(seed), config, margin), frames))
    start = np.datetime64("2000-01-01T00:00", "ns")
    step = np.timedelta64(seconds, "s")
    grid = Grid.from_edges(
        shape, west=0.0, east=shape[1] * pixel_size, south=0.0, north=shape[0] * pixel_size, crs=None
    )
    return observations(
        np.stack(rates),
        [start + t * step for t in range(frames)],
        grid,
        {"product": "simulated storm", "institution": "ssldm", "license": "none needed", "seed": seed},
    )


def endless_storm(
    shape: tuple[int, int],
    rng: np.random.Generator,
    config: StormConfig | None = None,
    margin: int = 256,
) -> Iterator[NDArray[np.float64]]:
    """Frames ``(y, x)`` of a simulated storm in mm/h, one a time step, without end.

    A Gaussian field z(k, t) lives in Fourier space: advection multiplies it by exp(-i k·u), growth and
    decay of each wavelength follow a first-order autoregression, and the rain rate is a power of what
    exceeds a threshold that rises and falls.

    Args:
        shape: rows and columns.
        rng: of its noise.
        config: its character.
        margin: pixels beyond the picture, after which the domain is periodic.
    """
    config = config or StormConfig()
    height, width = shape[0] + margin, shape[1] + margin
    ky, kx = np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij")
    k = np.maximum(np.hypot(kx, ky), 1.0 / config.outer_scale)
    amplitude = k ** (-config.slope / 2.0)
    amplitude[0, 0] = 0.0
    memory = np.exp(-((k * config.outer_scale) ** 0.8) / config.lifetime)
    drift = np.exp(-2j * np.pi * (kx * config.wind[0] + ky * config.wind[1]))

    def innovation() -> NDArray[np.complex128]:
        return np.asarray(np.fft.rfft2(rng.standard_normal((height, width))) * amplitude)

    spectrum = innovation()
    phase = rng.uniform(0.0, 2.0 * np.pi)
    mean = deviation = None
    for t in count():
        field = np.fft.irfft2(spectrum, s=(height, width))[: shape[0], : shape[1]]
        if mean is None or deviation is None:
            mean, deviation = field.mean(), field.std()
        swell = 0.25 * np.sin(2.0 * np.pi * t / config.growth_period + phase)
        yield _rain_rate((field - mean) / deviation + swell, config)
        spectrum = drift * (memory * spectrum + np.sqrt(1.0 - memory**2) * innovation())


def _rain_rate(field: NDArray[np.float64], config: StormConfig) -> NDArray[np.float64]:
    """Rain rate in mm/h of a standard normal field: log-linear above the quantile that is wet."""
    from scipy.stats import norm

    threshold = norm.ppf(1.0 - config.wet_fraction)
    median = norm.ppf(1.0 - config.wet_fraction / 2.0)
    rate = config.median_rate * 10.0 ** (config.decades * (field - median))
    return np.where(field > threshold, np.minimum(rate, 100.0), 0.0)
