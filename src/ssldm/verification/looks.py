"""Does a member look like what is observed? Number, size and shape of objects, and how streaky rain is."""

from collections.abc import Sequence

import numpy as np
import scipy.ndimage
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.verification.case import Case

RAIN_MM_PER_HOUR = 1.0
LEAST_OBJECT = 3  # pixels
MOST_MEMBERS = 3
_DERIVATIVE, _AVERAGE = 1.0, 4.0  # standard deviations in pixels
_REACH = 4  # of the derivatives, in pixels: `truncate` of scipy is 4 standard deviations
_LEAST_TRACE = 1e-10  # below is rounding: rain that does not vary has no direction
_TERMS = ("wet", "objects", "log_area", "log_elongation", "coherence", "directed")


def looks_sums(case: Case) -> xr.DataArray:
    """Sums ``(lead_time, looks_of, looks_term)`` of the forecast (mean over members) and of the observation.

    The terms: number of ``wet`` pixels (from 1 mm/h), of ``objects`` (of three of them or more that touch by
    side or corner), sums over wet pixels of ``log_area`` and ``log_elongation`` of the object that each
    belongs to, and of the ``coherence`` of rain around them over those that are ``directed``, where rain
    varies.

    Pixels that do not count are dry on both sides. To save time, the forecast is the first member of each of
    the first three groups: members that are independent of each other.
    """
    inner = np.stack([_eroded(valid) for valid in case.valid])
    forecast = np.mean([_frames_sums(member, inner) for member in looked_at(case)], axis=0)
    return xr.DataArray(
        np.stack([forecast, _frames_sums(case.truth, inner)], axis=1),
        dims=("lead_time", "looks_of", "looks_term"),
        coords={"looks_of": ["forecast", "observed"], "looks_term": list(_TERMS)},
    )


def looked_at(case: Case) -> NDArray[np.float32]:
    """Members ``(m, t, h, w)`` that are independent: the first of each of the first three groups."""
    return case.members[sorted(np.unique(case.groups, return_index=True)[1])[:MOST_MEMBERS]]


def looks_scores(sums: xr.DataArray) -> dict[str, xr.DataArray]:
    """Objects a wet pixel, their area and elongation, and coherence: observed, and forecast over observed."""
    part = {term: sums.sel(looks_term=term, drop=True) for term in _TERMS}

    def mean_of(term: str, over: str) -> xr.DataArray:
        return part[term] / part[over].where(part[over] > 0)

    looks = {
        "objects": mean_of("objects", "wet"),
        "object_area": xr.apply_ufunc(np.exp, mean_of("log_area", "wet")),
        "elongation": xr.apply_ufunc(np.exp, mean_of("log_elongation", "wet")),
        "coherence": mean_of("coherence", "directed"),
    }
    result: dict[str, xr.DataArray] = {}
    for name, look in looks.items():
        forecast, observed = (look.sel(looks_of=source, drop=True) for source in ("forecast", "observed"))
        result |= {name: forecast / observed.where(observed > 0), f"observed_{name}": observed}
    return result


def coherence(rate: NDArray[np.floating], inner: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Coherence (λ₁ - λ₂) / (λ₁ + λ₂) of the structure tensor: 1 in straight bands, 0 without direction.

    The tensor is that of ln max(R, 0.1 mm/h): products of derivatives of Gaussians of 1 pixel, averaged by a
    Gaussian of 4 pixels.

    Args:
        rate: ``(h, w)`` in mm/h.
        inner: ``(h, w)``, where derivatives count: away from pixels that do not, whose edges are no rain's.

    Returns:
        ``(h, w)``; NaN where the rain around does not vary.
    """
    logarithm = np.log(np.maximum(rate, WET_MM_PER_HOUR).astype(np.float64))
    along_y, along_x = (
        np.where(inner, scipy.ndimage.gaussian_filter(logarithm, _DERIVATIVE, order=order), 0.0)
        for order in ((1, 0), (0, 1))
    )
    # Dropped products need no norm: it is the same for λ₁ and λ₂.
    yy, xx, xy = (
        scipy.ndimage.gaussian_filter(product, _AVERAGE)
        for product in (along_y**2, along_x**2, along_y * along_x)
    )
    trace = xx + yy
    return np.asarray(np.hypot(xx - yy, 2.0 * xy) / np.where(trace > _LEAST_TRACE, trace, np.nan))


def objects_of(wet: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Numbers ``(h, w)`` from 1 of the objects that pixels belong to by side or corner, 0 for none."""
    return np.asarray(scipy.ndimage.label(wet, np.ones((3, 3)))[0], np.int32)


def elongations(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Longer over shorter axis of the ellipse with the second moments of each object, ``(n,)``.

    Pixels are squares, so that it is 1 for one of them, and for a rectangle the ratio of its sides.

    Args:
        labels: ``(h, w)``, see `objects_of`.
    """
    place = np.nonzero(labels)
    number = labels[place] - 1
    area = np.bincount(number)
    # From the mean of all places: sums of large squares lose digits.
    y, x = (along - along.mean() for along in place)
    mean_y, mean_x = (np.bincount(number, along) / area for along in (y, x))
    yy, xx, xy = (
        np.bincount(number, one * other) / area - mean_one * mean_other
        for one, other, mean_one, mean_other in (
            (y, y, mean_y, mean_y), (x, x, mean_x, mean_x), (y, x, mean_y, mean_x),
        )
    )  # fmt: skip
    total, apart = yy + xx + 1.0 / 6.0, np.hypot(yy - xx, 2.0 * xy)
    return np.asarray(np.sqrt((total + apart) / (total - apart)))


def _frames_sums(frames: NDArray[np.float32], inner: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The terms ``(t, looks_term)`` of frames ``(t, h, w)``."""
    return np.array([_frame_sums(*frame) for frame in zip(frames, inner, strict=True)], np.float64)


def _frame_sums(rate: NDArray[np.float32], inner: NDArray[np.bool_]) -> Sequence[float]:
    wet = rate >= RAIN_MM_PER_HOUR
    if not wet.any():
        return (0.0,) * len(_TERMS)
    labels = objects_of(wet)
    areas = np.bincount(labels[wet])[1:]
    directions = coherence(rate, inner)[wet]
    return (
        areas.sum(),
        (areas >= LEAST_OBJECT).sum(),
        (areas * np.log(areas)).sum(),
        (areas * np.log(elongations(labels))).sum(),
        np.nansum(directions),
        np.isfinite(directions).sum(),
    )


def _eroded(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose derivatives are of pixels that count alone; beyond the domain its mirror image lies."""
    side = np.ones((2 * _REACH + 1, 2 * _REACH + 1), bool)
    return np.asarray(scipy.ndimage.binary_erosion(valid, side, border_value=1))
