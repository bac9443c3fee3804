"""Corners of the rain, followed from frame to frame, and a motion between the places where they were found.

Shi and Tomasi 1994 find corners, the pyramids of Lucas and Kanade follow them (Bouguet 2001), both by OpenCV.
What is done around these is the Lucas-Kanade method of pysteps (Pulkkinen et al. 2019) with its numbers,
without pysteps, whose installation takes a compiler: a test holds the motion to pysteps' own.
"""

from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ssldm.radar.units import FloatArray

Vectors = tuple[NDArray[np.float64], NDArray[np.float64]]

_OPENING = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
# Corners: how many, the least strength relative to the strongest, pixels between them, and size of a corner.
_MOST, _QUALITY, _APART, _BLOCK = 1000, 0.01, 10, 5
# Tracking: window in pixels and halvings of the image.
_WINDOW, _HALVINGS = (50, 50), 3
# Vectors around that one is compared with, and how many deviations from them make it an outlier.
_COMPARED, _DEVIATIONS = 30, 3.0
# Side in pixels of the squares whose vectors count as one.
_DECLUSTERED = 20
# Of the interpolation: vectors that enter, power of the distance, and what is added to it, in grid steps.
_NEAREST, _POWER, _OFFSET = 20, 0.5, 0.5
# Of the trees of places: as in pysteps, for it decides between places that are equally far.
_LEAF = 16


def tracked_vectors(images: FloatArray) -> Vectors:
    """Where corners were, and how far they moved in a step.

    Args:
        images: ``(t, h, w)``, finite, such as decibels of rain rate.

    Returns:
        Places ``(n, 2)`` in pixels and vectors ``(n, 2)`` in pixels a step, x then y each, without outliers
        and one a square of 20×20 pixels; n may be 0.
    """
    found = [_followed(*pair) for pair in pairwise(_without_specks(image) for image in images)]
    places, vectors = (np.concatenate(parts).astype(np.float64) for parts in zip(*found, strict=True))
    usual = ~_outliers(places, vectors)
    return _declustered(places[usual], vectors[usual])


def interpolated(places: FloatArray, vectors: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Vectors at the points of a grid ``(2, h, w)``, by inverse distances to the nearest ones.

    Args:
        places, vectors: ``(n, 2)``, see `tracked_vectors`, n ≥ 1.
        x, y: ``(w,)`` and ``(h,)`` in pixels, evenly and equally spaced.
    """
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    number = np.arange(1, min(_NEAREST, len(places)) + 1)
    distance, nearest = KDTree(places, _LEAF).query(points, k=number)
    weight = (distance / (x[1] - x[0]) + _OFFSET) ** -_POWER
    mean = np.einsum("pk,pkc->cp", weight / weight.sum(axis=1, keepdims=True), vectors[nearest])
    return np.asarray(mean.reshape(2, len(y), len(x)))


def _without_specks(image: FloatArray) -> FloatArray:
    """Without what an opening by 3×3 pixels takes away: there is the least of its values."""
    above = (image > image.min()).astype(np.uint8)
    return np.where(above > cv2.morphologyEx(above, cv2.MORPH_OPEN, _OPENING), image.min(), image)


def _followed(earlier: FloatArray, later: FloatArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners of the earlier image, and how far they are from there in the later one."""
    grey, grey_later = _grey(earlier), _grey(later)
    corners = cv2.goodFeaturesToTrack(grey, _MOST, _QUALITY, _APART, blockSize=_BLOCK)
    if corners is None:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    # Ten iterations, however small the last.
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        grey, grey_later, corners, corners.copy(), winSize=_WINDOW, maxLevel=_HALVINGS, criteria=(3, 10, 0)
    )
    seen = found[:, 0] == 1
    return corners[seen, 0], (moved - corners)[seen, 0]


def _grey(image: FloatArray) -> NDArray[np.uint8]:
    low, high = image.min(), image.max()
    return np.asarray((image - low) / max(high - low, 1e-8) * 255.0, np.float64).astype(np.uint8)


def _outliers(places: FloatArray, vectors: FloatArray) -> NDArray[np.bool_]:
    """Vectors that are many deviations (Mahalanobis) from the mean of those around."""
    if len(vectors) < 3:
        return np.zeros(len(vectors), np.bool_)
    _, nearest = KDTree(places, _LEAF).query(places, k=min(_COMPARED + 1, len(places)))
    around = vectors[nearest[:, 1:]]
    away = vectors - around.mean(axis=1)
    x, y = np.moveaxis(around - around.mean(axis=1, keepdims=True), -1, 0)
    xx, xy, yy = ((a * b).sum(axis=1) / (x.shape[1] - 1) for a, b in ((x, x), (x, y), (y, y)))
    determinant = xx * yy - xy**2
    form = yy * away[:, 0] ** 2 - 2.0 * xy * away[:, 0] * away[:, 1] + xx * away[:, 1] ** 2
    return np.asarray((determinant > 0.0) & (form > _DEVIATIONS**2 * determinant))


def _declustered(places: FloatArray, vectors: FloatArray) -> Vectors:
    """Medians of the places and vectors in each square."""
    square = [pd.Series(each) for each in np.floor_divide(places, _DECLUSTERED).T]
    medians = pd.DataFrame(np.hstack([places, vectors])).groupby(square).median().to_numpy()
    return medians[:, :2], medians[:, 2:]
