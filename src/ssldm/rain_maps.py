"""How fields of rain are drawn, in every figure alike."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssldm.basemap import Basemap

LEVELS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# Blue for rain that nobody minds, from yellow to a dark purple for rain that does harm: told apart by those
# who do not see red and green, and the darker the heavier on either side.
_RAIN = ("#d3e6f3", "#a3cbe5", "#649fcb", "#2c69a4", "#ffe36b", "#fca636", "#ea632b", "#b81d3c", "#53094f")
PROBABILITIES = (0.05, *np.linspace(0.1, 1.0, 10))
UNOBSERVED = "0.85"
_RESOLUTION = 110


def panel_grid(
    rows: int, columns: int, size: float, *, least_width: float = 0.0, tall: float = 1.0
) -> tuple["Figure", NDArray[Any]]:
    """A figure with panels, drawn without a display.

    Args:
        rows, columns: of panels.
        size: width of a panel in inches.
        least_width: of the figure in inches.
        tall: height of a panel over its width.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = max(columns * size + 0.8, least_width), rows * size * tall + 0.8
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def save_still(figure: "Figure", path: Path, suffix: str) -> None:
    """Write a figure as ``.png``, or as ``.svg`` whose words are text."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        figure.savefig(path, dpi=_RESOLUTION, format=suffix[1:])


def rain_colours() -> tuple[Any, Any]:
    """Colour map and norm of rain rate in mm/h."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colour_map = ListedColormap(_RAIN[:-1]).with_extremes(under="white", over=_RAIN[-1], bad=UNOBSERVED)
    return colour_map, BoundaryNorm(LEVELS, len(LEVELS) - 1)


def probability_colours() -> tuple[Any, Any]:
    """Colour map and norm of probabilities."""
    from cmcrameri import cm
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = cm.lapaz_r(np.linspace(0.1, 1.0, len(PROBABILITIES) - 1))
    return ListedColormap(colours).with_extremes(under="white", bad=UNOBSERVED), BoundaryNorm(
        PROBABILITIES, len(colours)
    )


def draw(
    axis: "Axes",
    field: NDArray[np.float32],
    colour_map: Any,
    norm: Any,
    basemap: "Basemap | None" = None,
    *,
    full: bool = False,
) -> None:
    """A field ``(y, x)`` without ticks; of a field larger than the picture, the maxima of its pixels.

    Args:
        axis: to draw on.
        field: first row in the north.
        colour_map, norm: of `rain_colours` or `probability_colours`.
        basemap: of the field's pixels, to draw above it.
        full: whether with degrees, towns and a scale.
    """
    from ssldm.shrunk_image import ShrunkImage

    image = ShrunkImage(axis, field, colour_map, norm)
    image.set_clip_path(axis.patch)
    image.set_extent(image.get_extent())  # of the axis, too
    axis.add_image(image)
    axis.set_aspect("equal")
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_color("0.7")
    if basemap is not None:
        basemap.draw(axis, full=full)


def stamp(time: np.datetime64) -> str:
    """A time to the minute."""
    return str(np.datetime_as_string(time, unit="m")).replace("T", " ")
