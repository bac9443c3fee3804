"""A picture of a field that may have more pixels than it: the strongest rain of each is shown."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray


def shrunk(field: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.floating]:
    """A field ``(y, x)`` on at most ``shape`` (h, w) pixels, each the largest of the values that it covers.

    NaN only where nothing is known. An axis that has no more pixels than asked for is kept.
    """
    for axis, asked in enumerate(shape):
        found = field.shape[axis]
        if asked < found:
            first = np.arange(asked) * found // asked
            field = np.fmax.reduceat(field, first, axis=axis)
    return field


class ShrunkImage(AxesImage):
    """A field ``(y, x)``, first row above, drawn by its maxima over the pixels of the picture.

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
        self.set_data(shrunk(self.field, (height, width)))
        return super().make_image(renderer, magnification, unsampled)
