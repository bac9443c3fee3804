"""A picture of a field that may have more pixels than the picture has: none of them is left out."""

from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray


def averaged(field: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.floating]:
    """A field ``(y, x)`` on at most ``shape`` (h, w) pixels, each the mean of the area that it covers.

    The mean is that of what is known: NaN only where nothing is, so that no rain vanishes beside a gap.
    Without gaps the mean of the whole field stays as it is. An axis that has no more pixels than asked for is
    kept.
    """
    height, width = (min(asked, found) for asked, found in zip(shape, field.shape, strict=True))
    if (height, width) == field.shape:
        return field
    known = np.isfinite(field)

    def means(values: NDArray[Any]) -> NDArray[np.float64]:
        resized = cv2.resize(values.astype(np.float64), (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, np.float64)

    share = means(known)
    total = means(np.where(known, field, 0.0))
    # What rounding leaves of nothing is not a share; the smallest true one is that of a part of a pixel.
    least = 1e-9
    return np.where(share > least, total / np.maximum(share, least), np.nan)


class AveragedImage(AxesImage):
    """A field ``(y, x)``, first row above, drawn by its means over the pixels of the picture.

    How many these are is known when it is drawn: after the layout, at the picture's resolution.
    """

    def __init__(self, axis: Axes, field: NDArray[np.floating], colour_map: Any, norm: Any) -> None:
        height, width = field.shape
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        super().__init__(axis, cmap=colour_map, norm=norm, interpolation="nearest", extent=extent)
        self.field = field
        self.set_data(field)

    def make_image(
        self, renderer: Any, magnification: float = 1.0, unsampled: bool = False
    ) -> tuple[Any, float, float, Any]:
        """What matplotlib calls to draw."""
        box = self.axes.bbox
        height, width = (max(int(side * magnification), 1) for side in (box.height, box.width))
        self.set_data(averaged(self.field, (height, width)))
        return super().make_image(renderer, magnification, unsampled)
