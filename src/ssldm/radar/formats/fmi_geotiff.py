"""FMI lowest-level reflectivity composite as GeoTIFF."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.fmi_pgm import FILE_NAME, PRODUCT, RELATION
from ssldm.radar.formats.protocol import ReadOptions, check_frame, parts_of_name, rate_of_decibel
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations

NAME = "fmi_geotiff"
_UNOBSERVED, _NO_ECHO = 255, 0


def recognise(_: Path, head: bytes) -> bool:
    """A TIFF image, of either byte order."""
    return head.startswith((b"II*\x00", b"MM\x00*"))


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame; dBZ = value / 2 - 32, 0 is no echo, 255 unobserved; its time stands in the file name."""
    import rasterio

    found = parts_of_name(FILE_NAME, path, "201609281445_FINUTM.tif")
    with rasterio.open(path) as file:
        shape = check_frame(file.shape)
        if file.crs is None or file.dtypes[0] != "uint8":
            raise ObservationError(f"expected a georeferenced band of bytes, found {file.dtypes[0]}")
        values, bounds, wkt = file.read(1), file.bounds, file.crs.to_wkt()
    relation = options.zr or RELATION
    table = np.arange(256, dtype=np.float64)
    rates = rate_of_decibel(table / 2.0 - 32.0, table == _NO_ECHO, relation)
    rates[_UNOBSERVED] = np.nan
    grid = Grid.from_edges(
        shape, west=bounds.left, east=bounds.right, south=bounds.bottom, north=bounds.top, crs=wkt
    )
    yield observations(
        rates[values][None],
        [np.datetime64(datetime.strptime(found["time"], "%Y%m%d%H%M"), "ns")],
        grid,
        PRODUCT.attributes(relation),
    )
