"""FMI lowest-level reflectivity composite as GeoTIFF."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.fmi_pgm import PRODUCT, RELATION
from ssldm.radar.formats.geotiff import MAGIC
from ssldm.radar.formats.geotiff_tags import Statements, statements_of, time_of
from ssldm.radar.formats.protocol import ReadOptions, check_frame, rate_of_decibel
from ssldm.radar.formats.stored_codes import check_code, check_factors
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations

NAME = "fmi_geotiff"
_FILE_NAME = re.compile(r"^\d{12}_FIN")
_ETRS_TM35FIN = 3067
# Of files that do not say.
_GAIN, _OFFSET, _UNOBSERVED, _NO_ECHO = 0.5, -32.0, 255.0, 0.0


def recognise(path: Path, head: bytes) -> bool:
    """A TIFF image with FMI's name and projection, of bytes that are not said to be anything but dBZ."""
    if not (head.startswith(MAGIC) and _FILE_NAME.match(path.name)):
        return False
    import rasterio

    with rasterio.open(path, driver="GTiff") as file:
        return file.dtypes == ("uint8",) and _is_finnish(file) and _says(file).unit in {"", "dBZ"}


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame; dBZ = value / 2 - 32, 0 is no echo, 255 unobserved, unless the file says otherwise."""
    import rasterio

    with rasterio.open(path, driver="GTiff") as file:
        shape = check_frame(file.shape)
        if file.dtypes != ("uint8",) or not _is_finnish(file) or file.transform.e > 0.0:
            raise ObservationError(
                f"expected one band of bytes in EPSG:{_ETRS_TM35FIN}, northern row first, "
                f"found {', '.join(file.dtypes)} in {file.crs or 'no projection'}"
            )
        said = _says(file)
        values, bounds, wkt = file.read(1), file.bounds, file.crs.to_wkt()
    relation = options.zr or RELATION
    table = np.arange(256, dtype=np.float64)
    gain, offset = check_factors(said.number("gain", default=_GAIN), said.number("offset", default=_OFFSET))
    no_echo = said.number("undetect", default=_NO_ECHO)
    for code in (no_echo, *said.missing_codes()):
        check_code("undetect or nodata", code, values.dtype)
    nothing = table == no_echo
    rates = rate_of_decibel(table * gain + offset, nothing, relation)
    rates[np.isin(table, list(said.missing_codes() or {_UNOBSERVED}))] = np.nan
    grid = Grid.from_edges(
        shape, west=bounds.left, east=bounds.right, south=bounds.bottom, north=bounds.top, crs=wkt
    )
    yield observations(rates[values][None], [time_of(said, path)], grid, PRODUCT.attributes(relation))


def _says(file: Any) -> Statements:
    return statements_of(file, 1, alone=True)


def _is_finnish(file: Any) -> bool:
    return file.crs is not None and file.crs.to_epsg() == _ETRS_TM35FIN
