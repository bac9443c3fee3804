"""Motion of the rain over the context frames, and the forecast that moves it on unchanged."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ssldm.radar.tracking import interpolated, tracked_vectors
from ssldm.radar.units import WET_MM_PER_HOUR, FloatArray

_DRY_DECIBEL = -15.0
# Of the dense search: smallest side of a domain and deviation of the smoothing in pixels, grey levels.
_LEAST_SEARCHED = 32
_GREYS_A_DECIBEL = 4.0
_SEARCH_REACH = 8.0
# Pixels between the places that tracked vectors are interpolated to.
SPACING = 16


@dataclass(frozen=True)
class Extrapolation:
    """The last observed frame moved along the motion of the context.

    Attributes:
        rate: ``(t, h, w)`` in mm/h; NaN where `observed` is false.
        observed: ``(t, h, w)``; false where any context frame is unobserved and where the motion
            brings in air that was unobserved in any context frame or lay outside the domain.
        motion: ``(2, h, w)`` in pixels a step, x then y (rows downwards).
    """

    rate: NDArray[np.float32]
    observed: NDArray[np.bool_]
    motion: NDArray[np.float32]


def estimate_motion(context: FloatArray) -> NDArray[np.float32]:
    """Motion field by tracking, see `ssldm.radar.tracking`.

    Interpolated to every sixteenth pixel, and from there linearly to the others, which takes a tenth of the
    time and is as smooth.

    Args:
        context: ``(t, h, w)`` in mm/h, t ≥ 2; unobserved pixels count as dry.

    Returns:
        ``(2, h, w)`` in pixels a step, x then y; zero where nothing moves that could be tracked.
    """
    rate = np.nan_to_num(context, nan=0.0)
    if (rate[-2:] < WET_MM_PER_HOUR).all():
        return np.zeros((2, *rate.shape[1:]), np.float32)
    decibel = np.where(rate < WET_MM_PER_HOUR, _DRY_DECIBEL, 10.0 * np.log10(np.maximum(rate, 1e-6)))
    places, vectors = tracked_vectors(decibel)
    if not len(places):
        return np.zeros((2, *rate.shape[1:]), np.float32)
    rows, columns = (np.arange(0, max(size, 2) + SPACING - 1, SPACING) for size in rate.shape[1:])
    return refined(interpolated(places, vectors, columns, rows), rate.shape[1:])


def refined(coarse: FloatArray, size: tuple[int, ...]) -> NDArray[np.float32]:
    """A field ``(2, h', w')`` at every `SPACING`-th pixel, at every one: ``(2, h, w)``."""
    places = np.meshgrid(*(np.arange(length) / SPACING for length in size), indexing="ij")
    return np.stack([map_coordinates(field, places, order=1, mode="nearest") for field in coarse]).astype(
        np.float32
    )


def mean_motion(context: FloatArray, tracked: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of a motion that was tracked at some places and of one found by dense inverse search (OpenCV).

    Kroeger et al. 2016, smoothed. The two err differently, and how far they take the same rain apart says how
    well its motion is known.

    Args:
        context: ``(t, h, w)`` in mm/h, t ≥ 2; unobserved pixels count as dry.
        tracked: ``(2, h, w)`` in pixels a step, of `estimate_motion`.

    Returns:
        ``(2, h, w)`` in pixels a step, x then y; ``tracked`` where a domain is too small to search.
    """
    import cv2

    rate = np.nan_to_num(context, nan=0.0)
    if min(rate.shape[1:]) < _LEAST_SEARCHED:
        return tracked
    decibel = 10.0 * np.log10(np.maximum(rate, WET_MM_PER_HOUR)) - 10.0 * np.log10(WET_MM_PER_HOUR)
    images = np.clip(_GREYS_A_DECIBEL * (decibel + 5.0 * (decibel > 0.0)), 0.0, 255.0).astype(np.uint8)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    smoothed = partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=_SEARCH_REACH, borderType=cv2.BORDER_REFLECT)
    flow, weight = np.zeros_like(tracked), np.zeros(rate.shape[1:], np.float32)
    for earlier, later in pairwise(images):
        # Where neither has rain, nothing is seen to move.
        wet = np.where((earlier > 0) | (later > 0), 1.0, 1e-3).astype(np.float32)
        found = np.moveaxis(search.calc(earlier, later, None), -1, 0) * wet
        flow += np.stack([smoothed(each) for each in found])
        weight += smoothed(wet)
    return (0.5 * (tracked + flow / weight)).astype(np.float32)


def two_motions(context: FloatArray, tracked: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Motion by tracking, and the mean of that and of a dense search.

    Args:
        context: ``(t, h, w)`` in mm/h, t ≥ 2; unobserved pixels count as dry.
        tracked: ``(2, h, w)`` in pixels a step, of `estimate_motion` if None.

    Returns:
        ``(2, 2, h', w')`` in pixels a step, x then y, at every `SPACING`-th pixel from the first on.
    """
    if tracked is None:
        tracked = estimate_motion(context)
    both = np.stack([tracked, mean_motion(context, tracked)])
    return np.ascontiguousarray(both[..., ::SPACING, ::SPACING])


def advect(field: FloatArray, motion: NDArray[np.float32], steps: int) -> FloatArray:
    """Move a field along a motion that stays as it is.

    Semi-Lagrangian advection backward in time by the midpoint rule (Germann and Zawadzki 2002), with linear
    interpolation; `ssldm.forecast.advection` is the same for many fields at once, on any device.

    Args:
        field: ``(h, w)``, without NaN.
        motion: ``(2, h, w)`` in pixels a step, see `Extrapolation`.
        steps: how many.

    Returns:
        ``(t, h, w)``, the field after 1 … ``steps`` steps; NaN where it comes from outside the domain.
    """
    y, x = np.indices(field.shape, np.float64)

    def motion_at(back: NDArray[np.float64]) -> NDArray[np.float64]:
        places = [y - back[1], x - back[0]]
        return np.stack([map_coordinates(each, places, np.float64, 1, "nearest") for each in motion])

    back = np.zeros((2, *field.shape))
    moved = []
    for _ in range(steps):
        back = back + motion_at(back + 0.5 * motion_at(back))
        moved.append(map_coordinates(field, [y - back[1], x - back[0]], order=1, cval=np.nan))
    return np.stack(moved)


def extrapolate(context: FloatArray, steps: int, motion: NDArray[np.float32] | None = None) -> Extrapolation:
    """Move the last context frame for ``steps`` steps along the motion of the context.

    Args:
        context: ``(t, h, w)`` in mm/h, NaN unobserved, equal steps.
        steps: number of lead frames.
        motion: ``(2, h, w)`` in pixels a step; that of `estimate_motion` where None.
    """
    if motion is None:
        motion = estimate_motion(context)
    unobserved = np.isnan(context).any(axis=0)
    rate = advect(np.nan_to_num(context[-1], nan=0.0), motion, steps)
    # Outside the domain the advection itself gives NaN.
    observed = np.isfinite(rate)
    if unobserved.any():
        # Linear interpolation makes a pixel unobserved as soon as one of its sources is.
        covered = advect(np.where(unobserved, 0.0, 1.0), motion, steps)
        observed = (covered > 1.0 - 1e-6) & ~unobserved
    return Extrapolation(
        np.where(observed, np.maximum(rate, 0.0), np.nan).astype(np.float32), observed, motion
    )
