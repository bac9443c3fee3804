"""Image quality: structural similarity, peak signal-to-noise ratio, and the strongest rain of a picture."""

import numpy as np
import scipy.ndimage
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case

_DARK, _BRIGHT = 0.1, 100.0
_SIGMA = 1.5
_REACH = 5  # of the Gaussian window of 11 pixels


def image_of(rate: NDArray[np.floating]) -> NDArray[np.float64]:
    """Grey values in [0, 1] of rain rates in mm/h: 0 to 0.1 mm/h, 1 from 100, logarithmic."""
    grey = np.log(np.maximum(rate, _DARK) / _DARK) / np.log(_BRIGHT / _DARK)
    return np.asarray(np.clip(grey, 0.0, 1.0), np.float64)


def image_sums(case: Case) -> xr.DataArray:
    """Sums ``(forecast, lead_time, image_term)`` over pixels, of all members and of the ensemble mean.

    Structural similarity (Wang et al. 2004, by scikit-image with its Gaussian window) is taken where the
    whole window counts, the squared error of the grey values where the pixel does. The strongest rain is
    that of a frame, its error in mm/h; frames in which nothing counts are left out.
    """
    inner = [_eroded(valid) for valid in case.valid]
    truth = image_of(case.truth)
    peaks = case.truth.max(axis=(1, 2))
    counted = np.asarray(case.valid.any(axis=(1, 2)))
    terms = ("similarity", "windows", "squared_error", "pixels", "peak_error", "peak_absolute_error", "peaks")
    sums = np.zeros((2, len(truth), len(terms)))
    for i, forecast in enumerate((case.members, case.mean[None])):
        for member in forecast:
            grey = image_of(member)
            peak_error = np.where(counted, member.max(axis=(1, 2)).astype(np.float64) - peaks, 0.0)
            for lead in range(len(truth)):
                similarity = _similarity(truth[lead], grey[lead])[inner[lead]]
                squared = np.where(case.valid[lead], truth[lead] - grey[lead], 0.0) ** 2
                sums[i, lead] += (
                    similarity.sum(),
                    similarity.size,
                    squared.sum(),
                    case.valid[lead].sum(),
                    peak_error[lead],
                    abs(peak_error[lead]),
                    counted[lead],
                )
    return xr.DataArray(
        sums,
        dims=("forecast", "lead_time", "image_term"),
        coords={"forecast": ["members", "mean"], "image_term": list(terms)},
    )


def image_scores(sums: xr.DataArray) -> dict[str, xr.DataArray]:
    """SSIM, PSNR in dB of the pooled squared error (infinite for none), error of the strongest rain."""
    result: dict[str, xr.DataArray] = {}
    for forecast, suffix in (("members", ""), ("mean", "_mean")):
        part = {
            str(term): sums.sel(forecast=forecast, image_term=term, drop=True)
            for term in sums["image_term"].values
        }

        def ratio(above: str, below: str, part: dict[str, xr.DataArray] = part) -> xr.DataArray:
            return part[above] / part[below].where(part[below] > 0)

        noise = xr.apply_ufunc(_decibel, ratio("squared_error", "pixels"))
        result |= {
            f"ssim{suffix}": ratio("similarity", "windows"),
            f"psnr{suffix}": noise,
            f"max_error{suffix}": ratio("peak_error", "peaks"),
            f"max_absolute_error{suffix}": ratio("peak_absolute_error", "peaks"),
        }
    return result


def _similarity(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map ``(h, w)`` of structural similarity; 0 everywhere in pictures smaller than the window."""
    from skimage.metrics import structural_similarity

    if min(one.shape) <= 2 * _REACH:
        return np.zeros_like(one)
    options = {"gaussian_weights": True, "sigma": _SIGMA, "use_sample_covariance": False}
    return np.asarray(structural_similarity(one, other, data_range=1.0, full=True, **options)[1])


def _eroded(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose whole window lies in the domain and counts."""
    side = np.ones((2 * _REACH + 1, 2 * _REACH + 1), bool)
    return np.asarray(scipy.ndimage.binary_erosion(valid, side, border_value=0))


def _decibel(squared_error: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(-10.0 * np.log10(squared_error))
