"""Radially averaged power spectrum: is a forecast as sharp as what is observed?"""

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case

# Two bands an octave, so that domains of any size add up; in pixels.
WAVELENGTHS = tuple(2.0 ** (0.5 * i) for i in range(2, 21))


def spectrum_sums(case: Case) -> xr.DataArray:
    """Power of forecast (mean over members) and observation: ``(lead_time, wavelength, spectrum_term)``.

    The power of rain in mm/h, averaged over the wave vectors whose wavelength lies within a quarter octave
    of 2, 2.8, 4, … pixels; ``fields`` counts the domains that have such wave vectors. Pixels that do not
    count are 0 on both sides.
    """
    forecast = np.mean([_banded_power(member) for member in case.members], axis=0)
    observed = _banded_power(case.truth)
    found = np.isfinite(observed)
    sums = np.stack([np.nan_to_num(forecast), np.nan_to_num(observed), found.astype(np.float64)], axis=-1)
    return xr.DataArray(
        sums,
        dims=("lead_time", "wavelength", "spectrum_term"),
        coords={"wavelength": list(WAVELENGTHS), "spectrum_term": ["forecast", "observed", "fields"]},
    )


def spectrum_scores(sums: xr.DataArray) -> dict[str, xr.DataArray]:
    """Mean power by wavelength, and that of the forecast over that of the observation: below 1 is blurred."""
    fields = sums.sel(spectrum_term="fields", drop=True)
    forecast, observed = (
        sums.sel(spectrum_term=term, drop=True) / fields.where(fields > 0)
        for term in ("forecast", "observed")
    )
    return {
        "power": forecast,
        "observed_power": observed,
        "power_ratio": forecast / observed.where(observed > 0),
    }


def _banded_power(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power ``(t, wavelength)`` of frames ``(t, h, w)``; NaN for wavelengths that the domain has not."""
    height, width = frames.shape[-2:]
    power = np.abs(scipy.fft.fft2(frames)) ** 2 / (height * width)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]).ravel()
    with np.errstate(divide="ignore"):
        band = np.round(2.0 * np.log2(1.0 / frequency)) - 2
    inside = np.isfinite(band) & (band >= 0) & (band < len(WAVELENGTHS))
    index = band[inside].astype(np.int64)
    number = np.bincount(index, minlength=len(WAVELENGTHS))
    totals = [
        np.bincount(index, frame.ravel()[inside].astype(np.float64), minlength=len(WAVELENGTHS))
        for frame in power
    ]
    return np.asarray(np.stack(totals) / np.where(number, number, np.nan))
