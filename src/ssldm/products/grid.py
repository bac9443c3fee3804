"""Where the pixels of a nowcast are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.products.nowcast import fields_of
from ssldm.radar.grid import GRID_MAPPING


@dataclass(frozen=True)
class PixelGrid:
    """Regular rows and columns of pixels.

    Attributes:
        y, x: of the middle of the first pixel, in metres.
        dy, dx: from one to the next, with their sign.
        height, width: how many there are.
        crs: of the projection; None without georeference.
    """

    y: float
    x: float
    dy: float
    dx: float
    height: int
    width: int
    crs: pyproj.CRS | None

    @classmethod
    def of(cls, forecast: xr.Dataset) -> "PixelGrid":
        """That of a nowcast.

        Raises:
            ObservationError: no nowcast, or one without coordinates or with a single row or column.
        """
        return cls.of_fields(fields_of(forecast))

    @classmethod
    def of_fields(cls, fields: xr.DataArray) -> "PixelGrid":
        """That of fields ``(…, y, x)``; raises as `of`."""
        axes = []
        for name in ("y", "x"):
            if name not in fields.coords or fields.sizes[name] < 2:
                raise ObservationError(
                    f"expected two {name} coordinates at least, found {fields.sizes[name]} {name}"
                )
            values = fields[name].values.astype(np.float64)
            axes.append((float(values[0]), float((values[-1] - values[0]) / (len(values) - 1))))
        (y, dy), (x, dx) = axes
        mapping = fields.coords.get(str(fields.attrs.get("grid_mapping", GRID_MAPPING)))
        wkt = mapping.attrs.get("crs_wkt") if mapping is not None else None
        crs = pyproj.CRS.from_wkt(wkt) if wkt else None
        return cls(y, x, dy, dx, fields.sizes["y"], fields.sizes["x"], crs)

    def transformer_from(self, crs: Any) -> pyproj.Transformer:
        """From another projection, x before y and longitude before latitude.

        Raises:
            ObservationError: the nowcast has no georeference.
            ConfigurationError: no projection.
        """
        if self.crs is None:
            raise ObservationError(
                "expected a nowcast with a map projection, found none: give x and y in metres"
            )
        try:
            return pyproj.Transformer.from_crs(pyproj.CRS.from_user_input(crs), self.crs, always_xy=True)
        except pyproj.exceptions.CRSError as error:
            raise ConfigurationError(f"expected a map projection, found {crs!r:.80}") from error

    def in_degrees(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes ``(count, count)`` of points spread evenly from edge to edge.

        Raises:
            ObservationError: the nowcast has no georeference.
        """
        columns, rows = (np.linspace(-0.5, size - 0.5, count) for size in (self.width, self.height))
        mesh = np.meshgrid(self.x + self.dx * columns, self.y + self.dy * rows)
        lon, lat = self.transformer_from("EPSG:4326").transform(*mesh, direction="INVERSE")
        return lon, lat

    def pixels(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the pixels that places in metres lie in.

        Raises:
            ConfigurationError: a place outside of the domain.
        """
        row, column = (y - self.y) / self.dy, (x - self.x) / self.dx
        inside = (
            (np.abs(row - (self.height - 1) / 2) <= self.height / 2)
            & (np.abs(column - (self.width - 1) / 2) <= self.width / 2)
        )  # fmt: skip
        if not inside.all():
            outside = int(np.flatnonzero(~inside)[0])
            place = f"x={x[outside]:g}, y={y[outside]:g} m"
            raise ConfigurationError(f"expected places within {self._extent()}, found {place}")
        rows, columns = (
            np.clip(np.rint(each), 0, count - 1).astype(np.int64)
            for each, count in ((row, self.height), (column, self.width))
        )
        return rows, columns

    def _extent(self) -> str:
        ends = []
        for first, step, count in ((self.x, self.dx, self.width), (self.y, self.dy, self.height)):
            edges = sorted((first - step / 2, first + (count - 0.5) * step))
            ends.append(f"{edges[0]:g} to {edges[1]:g}")
        return f"x {ends[0]}, y {ends[1]} m"
