"""Where a domain lies."""

import numpy as np
import xarray as xr

from ssldm.products.grid import PixelGrid

_EDGE = 33


def bounds_of(forecast: xr.Dataset) -> list[float]:
    """West, south, east and north of the pixels' edges in degrees.

    Raises:
        ObservationError: a forecast without georeference.
    """
    grid = PixelGrid.of(forecast)
    columns, rows = (np.linspace(-0.5, size - 0.5, _EDGE) for size in (grid.width, grid.height))
    mesh = np.meshgrid(grid.x + grid.dx * columns, grid.y + grid.dy * rows)
    lon, lat = grid.transformer_from("EPSG:4326").transform(*mesh, direction="INVERSE")
    lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
    return [round(float(each), 5) for each in (lon.min(), lat.min(), lon.max(), lat.max())]
