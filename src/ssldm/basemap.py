"""What lies under a map of rain: coasts, borders, a few towns, degrees and a scale, without a download.

Coasts and borders are Natural Earth's, towns its capitals and the places of the time zone database, all in
the public domain (`experiments/basemap.py`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ssldm.products.grid import PixelGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = list[NDArray[np.float64]]
# Degrees between lines of latitude and longitude: the widest with some lines in the map.
_GRATICULES = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)
_LINES = 3
# Degrees around a map that lines are still looked at, and between the points of its edge.
_AROUND = 0.5
_EDGE = 24
# Towns of a map, and how far they are apart as a share of its diagonal.
_MOST_TOWNS, _APART = 8, 0.12
# Share of the width that a scale takes at most.
_SCALE = 0.3


@dataclass(frozen=True)
class Basemap:
    """Lines and places in columns and rows of a grid's pixels, 0 in the middle of the first.

    Attributes:
        coast, border, graticule: lines ``(n, 2)``, column and row.
        degrees: text, column and row where a line of the graticule leaves the map below or to the left.
        towns: name, column and row.
        metres: of a pixel.
        shape: rows and columns.
    """

    coast: Lines
    border: Lines
    graticule: Lines
    degrees: list[tuple[str, float, float]]
    towns: list[tuple[str, float, float]]
    metres: float
    shape: tuple[int, int]

    @classmethod
    def of(cls, grid: PixelGrid, towns: pd.DataFrame | None = None) -> "Basemap":
        """That of a grid; without georeference it has a scale alone.

        Args:
            grid: of the map.
            towns: to show, with columns name, lat and lon; those that come in the package if None.
        """
        shape, metres = (grid.height, grid.width), abs(grid.dx)
        if grid.crs is None:
            return cls([], [], [], [], [], metres, shape)
        place = _Placer(grid)
        coast, border = (
            [
                each
                for line in world_lines()[kind]
                if line.near(place.bounds)
                for each in place.lines(line.points)
            ]
            for kind in ("coast", "border")
        )
        graticule, degrees = _graticule(place)
        given = world_towns() if towns is None else towns
        columns, rows = place.pixels(given["lon"].to_numpy(float), given["lat"].to_numpy(float))
        named = list(zip(given["name"].astype(str), columns, rows, strict=True))
        shown = [each for each in named if place.inside(*each[1:])]
        if towns is None:
            shown = _apart(shown, _APART * math.hypot(*shape))[:_MOST_TOWNS]
        return cls(coast, border, graticule, degrees, shown, metres, shape)

    def draw(self, axis: "Axes", *, full: bool) -> None:
        """Onto a map whose axis is in columns and rows; ``full`` with graticule, towns and scale."""
        from matplotlib.collections import LineCollection

        limits = axis.get_xlim(), axis.get_ylim()
        axis.add_collection(LineCollection(self.border, colors="0.35", linewidths=0.5, linestyles=":"))
        axis.add_collection(LineCollection(self.coast, colors="0.15", linewidths=0.8 if full else 0.5))
        if full:
            axis.add_collection(LineCollection(self.graticule, colors="0.5", linewidths=0.4, alpha=0.6))
            for text, column, row in self.degrees:
                below = row >= self.shape[0] - 1
                axis.annotate(
                    text, (column, row), (0, -3) if below else (-3, 0), textcoords="offset points",
                    fontsize=7, color="0.3", annotation_clip=False,
                    ha="center" if below else "right", va="top" if below else "center",
                )  # fmt: skip
            for name, column, row in self.towns:
                _town(axis, name, column, row)
            self._scale(axis)
        axis.set(xlim=limits[0], ylim=limits[1])

    def _scale(self, axis: "Axes") -> None:
        """A bar of a round number of kilometres."""
        height, width = self.shape
        most = _SCALE * width * self.metres / 1000.0
        power = 10.0 ** math.floor(math.log10(most))
        length = max(each * power for each in (1.0, 2.0, 5.0) if each * power <= most)
        pixels = 1000.0 * length / self.metres
        left, row = 0.03 * width, 0.95 * height
        axis.plot([left, left + pixels], [row, row], color="black", linewidth=3.0, solid_capstyle="butt")
        text = axis.annotate(
            f"{length:g} km",
            (left + pixels / 2, row),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
        _haloed(text)


@dataclass(frozen=True)
class Line:
    """Longitudes and latitudes ``(n, 2)``, and the least and greatest of them."""

    points: NDArray[np.float64]
    box: tuple[float, float, float, float]

    def near(self, bounds: tuple[float, float, float, float]) -> bool:
        """Whether it may have a part within west, south, east and north."""
        west, south, east, north = bounds
        return self.box[0] <= east and self.box[2] >= west and self.box[1] <= north and self.box[3] >= south


class _Placer:
    """Longitudes and latitudes to columns and rows of a grid."""

    def __init__(self, grid: PixelGrid) -> None:
        self.grid = grid
        self.transformer = grid.transformer_from("EPSG:4326")
        lon, lat = grid.in_degrees(_EDGE)
        self.bounds = (
            float(lon.min()) - _AROUND,
            float(lat.min()) - _AROUND,
            float(lon.max()) + _AROUND,
            float(lat.max()) + _AROUND,
        )
        self.frame = shapely.box(-0.5, -0.5, grid.width - 0.5, grid.height - 0.5)

    def pixels(self, lon: Any, lat: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns and rows; infinite where the projection has no place."""
        x, y = self.transformer.transform(lon, lat)
        return (np.asarray(x) - self.grid.x) / self.grid.dx, (np.asarray(y) - self.grid.y) / self.grid.dy

    def inside(self, column: float, row: float) -> bool:
        """Whether a place is on the map."""
        return 0.0 <= column <= self.grid.width - 1 and 0.0 <= row <= self.grid.height - 1

    def lines(self, points: NDArray[np.float64]) -> Lines:
        """The parts of a line ``(n, 2)`` of longitudes and latitudes that are on the map."""
        west, south, east, north = self.bounds
        wide = shapely.clip_by_rect(shapely.LineString(points), west, south, east, north)
        parts = []
        for part in shapely.get_parts(wide):
            line = np.stack(self.pixels(*shapely.get_coordinates(part).T), axis=-1)
            if len(line) > 1 and np.isfinite(line).all():
                cut = shapely.intersection(shapely.LineString(line), self.frame)
                parts += [shapely.get_coordinates(each) for each in shapely.get_parts(cut)]
        return [part for part in parts if len(part) > 1]


def _graticule(place: _Placer) -> tuple[Lines, list[tuple[str, float, float]]]:
    """Lines of whole degrees, and what they are called where they leave the map."""
    west, south, east, north = place.bounds
    span = min(east - west, north - south) - 2.0 * _AROUND
    step = next((each for each in _GRATICULES if span / each >= _LINES), _GRATICULES[-1])
    lines: Lines = []
    degrees = []
    height, width = place.grid.height, place.grid.width
    for along, (first, last), names in ((0, (west, east), "WE"), (1, (south, north), "SN")):
        for number in range(math.ceil(first / step), math.floor(last / step) + 1):
            at = number * step
            free = np.linspace(*((south, north) if along == 0 else (west, east)), 200)
            fixed = np.full_like(free, at)
            for line in place.lines(np.stack([fixed, free] if along == 0 else [free, fixed], axis=-1)):
                lines.append(line)
                end = line[line[:, 1].argmax()] if along == 0 else line[line[:, 0].argmin()]
                leaves = end[1] >= height - 1 if along == 0 else end[0] <= 0.0
                if leaves:
                    text = f"{abs(at):g}°{names[at > 0] if at else ''}"
                    degrees.append((text, float(end[0]), float(min(end[1], height - 0.5))))
    return lines, [each for each in degrees if each[1] <= width]


def _apart(places: list[tuple[str, float, float]], least: float) -> list[tuple[str, float, float]]:
    """Those that are so far from all that come before them."""
    kept: list[tuple[str, float, float]] = []
    for name, column, row in places:
        if all(math.hypot(column - x, row - y) >= least for _, x, y in kept):
            kept.append((name, column, row))
    return kept


def _town(axis: "Axes", name: str, column: float, row: float) -> None:
    axis.plot(
        column, row, marker="o", markersize=3.0, color="black", markeredgecolor="white", markeredgewidth=0.6
    )
    _haloed(axis.annotate(name, (column, row), (3, 2), textcoords="offset points", fontsize=8))


def _haloed(text: Any) -> None:
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])


@lru_cache(maxsize=1)
def world_lines() -> dict[str, list[Line]]:
    """Coasts and borders of the world in degrees, as ``coast`` and ``border``."""
    with np.load(str(files("ssldm") / "map_data" / "lines.npz")) as stored:
        step = float(stored["step"])
        found = {}
        for kind in ("coast", "border"):
            ends = np.cumsum(stored[f"{kind}_points"])[:-1]
            parts = np.split(stored[f"{kind}_steps"], ends)
            lines = [step * np.cumsum(part, axis=0) for part in parts if len(part) > 1]
            found[kind] = [Line(line, (*line.min(axis=0), *line.max(axis=0))) for line in lines]
    return found


@lru_cache(maxsize=1)
def world_towns() -> pd.DataFrame:
    """Towns with columns name, lat and lon, the most important first."""
    return pd.read_csv(str(files("ssldm") / "map_data" / "towns.csv"))
