"""How fields of rain are drawn, in every figure alike."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
PROBABILITIES = tuple(np.linspace(0.0, 1.0, 11))
UNOBSERVED = "0.85"


def panel_grid(
    rows: int, columns: int, size: float, *, least_width: float = 0.0
) -> tuple["Figure", NDArray[Any]]:
    """A figure with panels of ``size`` inches, drawn without a display, that is ``least_width`` or wider."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(columns * size + 0.8, least_width), rows * size + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def rain_colours() -> tuple[Any, Any]:
    """Colour map and norm of rain rate in mm/h."""
    from cmcrameri import cm
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = cm.batlow_r(np.linspace(0.05, 1.0, len(LEVELS)))
    colour_map = ListedColormap(colours[:-1]).with_extremes(under="white", over=colours[-1], bad=UNOBSERVED)
    return colour_map, BoundaryNorm(LEVELS, len(LEVELS) - 1)


def probability_colours() -> tuple[Any, Any]:
    """Colour map and norm of probabilities."""
    from cmcrameri import cm
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = cm.lapaz_r(np.linspace(0.0, 1.0, len(PROBABILITIES) - 1))
    return ListedColormap(colours).with_extremes(bad=UNOBSERVED), BoundaryNorm(PROBABILITIES, len(colours))


def draw(axis: "Axes", field: NDArray[np.float32], colour_map: Any, norm: Any) -> None:
    """A field ``(y, x)`` without ticks; of a field larger than the picture, means over its pixels."""
    from ssldm.averaged_image import AveragedImage

    image = AveragedImage(axis, field, colour_map, norm)
    image.set_clip_path(axis.patch)
    image.set_extent(image.get_extent())  # of the axis, too
    axis.add_image(image)
    axis.set_aspect("equal")
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_color("0.7")


def stamp(time: np.datetime64) -> str:
    """A time to the minute."""
    return str(np.datetime_as_string(time, unit="m")).replace("T", " ")
