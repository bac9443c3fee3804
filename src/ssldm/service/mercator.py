"""Pictures of the web mercator map, and which pixels of a grid each of their pixels shows."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyproj
from numpy.typing import NDArray

from ssldm.products.grid import PixelGrid

TILE = 256
MOST_ZOOM = 14
_DEGREES = "EPSG:4326"
# Projections are computed every so many pixels of a picture, and between them interpolated: errors are
# below a fiftieth of a pixel. Where a picture shows much of the world, more closely.
_STEP, _STEP_OF_WORLD, _WORLD_UNTIL = 8, 2, 4
_GRID_STEP = 8
# From so many grid pixels a picture's pixel on, blocks are taken for them; half as many to a side.
_COARSE = 4.0

Pixels = NDArray[np.int32]
Places = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A square part of the map.

    Attributes:
        size: pixels of a side.
        zoom: at which the world has ``size`` · 2^zoom pixels.
        left, top: the first pixel, from the map's north-west corner.
    """

    size: int
    zoom: int
    left: int
    top: int

    @classmethod
    def of_tile(cls, zoom: int, x: int, y: int, size: int = TILE) -> "View":
        """That of a tile."""
        return cls(size, zoom, x * size, y * size)

    @classmethod
    def around(cls, zoom: int, lat: float, lon: float, size: int) -> "View":
        """With a place in degrees in its middle."""
        x, y = _map_pixels(np.asarray(lon), np.asarray(lat), size << zoom)
        return cls(size, zoom, round(float(x)) - size // 2, round(float(y)) - size // 2)

    @property
    def world(self) -> int:
        """Pixels of the world's width."""
        return self.size << self.zoom


@dataclass(frozen=True)
class Blocks:
    """Blocks of grid pixels that pixels of a picture cover.

    Attributes:
        factor: grid pixels to a side of a block.
        order: numbers of blocks, row by row, those of one picture pixel together.
        starts: where a picture pixel's begin in ``order``.
        targets: numbers of these picture pixels.
    """

    factor: int
    order: Pixels
    starts: Pixels
    targets: Pixels


@dataclass(frozen=True)
class Shown:
    """Which pixels of a grid a picture shows.

    Attributes:
        nearest: numbers of grid pixels ``(h, w)``, row by row; -1 outside.
        outside: pixels ``(h, w)`` that show none.
        blocks: what is covered; None where a picture pixel is smaller than one of the grid.
    """

    nearest: Pixels
    outside: NDArray[np.bool_]
    blocks: Blocks | None = None

    @property
    def factor(self) -> int:
        """Of the blocks."""
        return self.blocks.factor if self.blocks else 1

    @property
    def nbytes(self) -> int:
        """Memory."""
        whole = self.nearest.nbytes + self.outside.nbytes
        if self.blocks is None:
            return whole
        return whole + self.blocks.order.nbytes + self.blocks.starts.nbytes + self.blocks.targets.nbytes

    def values(self, field: NDArray[np.float32], maxima: NDArray[np.float32]) -> NDArray[np.float32]:
        """The picture of a field: nearest pixels, or the strongest of those that a pixel covers.

        Args:
            field: ``(y, x)``.
            maxima: of its blocks of ``factor`` pixels.
        """
        shown = np.where(self.nearest >= 0, field.ravel()[self.nearest], np.float32(np.nan))
        if self.blocks is not None:
            strongest = np.fmax.reduceat(maxima.ravel()[self.blocks.order], self.blocks.starts)
            flat = shown.ravel()
            flat[self.blocks.targets] = np.fmax(flat[self.blocks.targets], strongest)
        return shown


def shown_of(grid: PixelGrid, view: View) -> Shown | None:
    """Which pixels of a georeferenced grid a view shows; None where it shows none."""
    nearest = _nearest(grid, view)
    outside = nearest < 0
    pixels = _grid_pixels(grid, view.world)
    blocks = _blocks(grid, view, pixels) if pixels > 1.0 else None
    if blocks is not None:
        outside.ravel()[blocks.targets] = False
    return None if outside.all() else Shown(nearest, outside, blocks)


def _nearest(grid: PixelGrid, view: View) -> Pixels:
    """The grid pixel that the middle of each picture pixel lies in."""
    step = _STEP if view.zoom > _WORLD_UNTIL else _STEP_OF_WORLD
    nodes = np.arange(0, view.size + 1, step, dtype=np.float64)
    x, y = np.meshgrid(view.left + nodes, view.top + nodes)
    x, y = _transformer(grid).transform(*_degrees(x, y, view.world))
    middles = (np.arange(view.size) + 0.5) / step
    with np.errstate(invalid="ignore"):
        column, row = (
            _between(each, middles, middles) for each in ((x - grid.x) / grid.dx, (y - grid.y) / grid.dy)
        )
        inside = (row > -0.5) & (row < grid.height - 0.5) & (column > -0.5) & (column < grid.width - 0.5)
    rows, columns = (np.rint(np.where(inside, each, 0.0)).astype(np.int32) for each in (row, column))
    return np.where(inside, rows * np.int32(grid.width) + columns, np.int32(-1)).astype(np.int32)


def _grid_pixels(grid: PixelGrid, world: int) -> float:
    """How many grid pixels a map pixel in the middle of the domain has to a side."""
    x, y = grid.x + grid.dx * grid.width / 2, grid.y + grid.dy * grid.height / 2
    at = np.array([x, x + grid.dx, x]), np.array([y, y, y + grid.dy])
    right, down = _map_pixels(*_transformer(grid).transform(*at, direction="INVERSE"), world)
    return float(1.0 / np.hypot(right[1:] - right[0], down[1:] - down[0]).max())


def _blocks(grid: PixelGrid, view: View, pixels: float) -> Blocks | None:
    """What each picture pixel covers, of so many grid pixels to a side; None where it is nothing."""
    factor = 1 << max(int(np.log2(2.0 * pixels / _COARSE)), 0)
    rows, columns = _block_middles(grid.height, factor), _block_middles(grid.width, factor)
    steps = _GRID_STEP * factor
    node_rows, node_columns = (np.arange(0, size - 1 + steps, steps) for size in (grid.height, grid.width))
    x, y = np.meshgrid(grid.x + grid.dx * node_columns, grid.y + grid.dy * node_rows)
    lon, lat = _transformer(grid).transform(x, y, direction="INVERSE")
    with np.errstate(invalid="ignore"):
        lon = np.unwrap(np.unwrap(lon, period=360.0, axis=0), period=360.0, axis=1)
        x, y = (_between(each, rows / steps, columns / steps) for each in _map_pixels(lon, lat, view.world))
        # The same place lies on the map once a world's width.
        x -= view.world * np.rint((x - (view.left + view.size / 2)) / view.world)
        right, down = np.floor(x - view.left), np.floor(y - view.top)
        in_view = (right >= 0) & (right < view.size) & (down >= 0) & (down < view.size)
    numbers = np.flatnonzero(in_view).astype(np.int32)
    if not numbers.size:
        return None
    pixel = (down[in_view] * view.size + right[in_view]).astype(np.int32)
    together = np.argsort(pixel, kind="stable")
    targets, starts = np.unique(pixel[together], return_index=True)
    return Blocks(factor, numbers[together], starts.astype(np.int32), targets)


def _block_middles(size: int, factor: int) -> Places:
    """Of the blocks that `ssldm.shrunk_image.shrunk` takes."""
    count = max(size // factor, 1)
    first = np.arange(count + 1) * size // count
    return (first[:-1] + first[1:] - 1) / 2.0


def _between(nodes: Places, rows: Places, columns: Places) -> Places:
    """Values at some rows and columns, given at whole ones."""
    for axis, at in ((0, rows), (1, columns)):
        before = np.minimum(at.astype(np.int64), max(nodes.shape[axis] - 2, 0))
        shape = (-1, 1) if axis == 0 else (1, -1)
        part = (at - before).reshape(shape)
        after = np.minimum(before + 1, nodes.shape[axis] - 1)
        nodes = nodes.take(before, axis) * (1.0 - part) + nodes.take(after, axis) * part
    return nodes


def _degrees(x: Places, y: Places, world: int) -> tuple[Places, Places]:
    """Longitudes and latitudes of pixels of the map."""
    lon = (x / world * 360.0) % 360.0 - 180.0
    return lon, np.degrees(np.arctan(np.sinh(np.pi * (1.0 - 2.0 * y / world))))


def _map_pixels(lon: Places, lat: Places, world: int) -> tuple[Places, Places]:
    """Pixels of the map of longitudes and latitudes."""
    north = np.arcsinh(np.tan(np.radians(np.clip(lat, -89.9, 89.9))))
    return (lon + 180.0) / 360.0 * world, (1.0 - north / np.pi) / 2.0 * world


@lru_cache(maxsize=64)
def _transformer_of(wkt: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(_DEGREES, wkt, always_xy=True)


def _transformer(grid: PixelGrid) -> pyproj.Transformer:
    assert grid.crs is not None
    return _transformer_of(grid.crs.to_wkt())
