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
    lon, lat = PixelGrid.of(forecast).in_degrees(_EDGE)
    lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
    return [round(float(each), 5) for each in (lon.min(), lat.min(), lon.max(), lat.max())]
