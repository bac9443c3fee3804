"""KNMI composites (`RAD_NL25_RAP_5min` and its kin): accumulation or reflectivity, HDF5."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import HDF5, Product, ReadOptions, check_frame, rate_of_decibel, text
from ssldm.radar.grid import Grid, in_metres
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation, rate_of_accumulation

NAME = "knmi"
PRODUCT = Product(
    "KNMI RAD_NL25_RAP_5min",
    "KNMI - Royal Netherlands Meteorological Institute",
    "CC-BY-4.0",
    "NL-KNMI-rainfall_rate",
)
PERIOD_MINUTES = 5.0
_TIME = "%d-%b-%Y;%H:%M:%S.%f"
_UNOBSERVED_BYTE, _UNOBSERVED_WORD = 255, 65535
# Some files carry a projection that is wrong in kilometres, with a row offset in metres (pysteps).
_WRONG_PROJECTION = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378.14 +b=6356.75 +x_0=0 y_0=0"
_RIGHT_PROJECTION = "+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378137 +b=6356752 +x_0=0 +y_0=0"


def recognise(path: Path, head: bytes) -> bool:
    """HDF5 with KNMI's `geographic` group."""
    if not head.startswith(HDF5):
        return False
    import h5py

    with h5py.File(path) as file:
        return "geographic" in file and "image1" in file


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame, at the end of its accumulation period.

    pysteps' importer gives the same values and grid, as a test holds it to; it takes three times as long.
    """
    import h5py

    with h5py.File(path) as file:
        overview, image = file["overview"].attrs, file["image1"]
        begin, end = (
            datetime.strptime(text(overview[f"product_datetime_{name}"]), _TIME) for name in ("start", "end")
        )
        stored = image["image_data"]
        shape = check_frame(stored.shape)
        if stored.dtype.kind != "u" or stored.dtype.itemsize > 2:
            raise ObservationError(f"expected 8 or 16 bits a pixel, found {stored.dtype}")
        parameter = text(image.attrs.get("image_geo_parameter", "PRECIPITATION")).upper()
        reflectivity = "REFLECTIVITY" in parameter
        if not reflectivity and ("PRECIPITATION" not in parameter or stored.dtype.itemsize != 2):
            raise ObservationError(
                f"expected reflectivity or 16-bit precipitation, found {parameter} of {stored.dtype}"
            )
        grid = _grid(file["geographic"], shape)
        values = stored[...]
    codes = np.arange(np.iinfo(values.dtype).max + 1)
    relation, product = None, PRODUCT
    if reflectivity:
        relation = options.zr or ZRRelation()
        rates = rate_of_decibel(codes * 0.5 - 32.0, codes == 0, relation)
        rates[_UNOBSERVED_BYTE] = np.nan
        product = replace(PRODUCT, name="KNMI reflectivity composite")
    else:
        minutes = (end - begin).total_seconds() / 60.0
        if minutes <= 0.0:
            raise ObservationError(f"expected an end after the start {begin}, found {end}")
        rates = rate_of_accumulation(codes / 100.0, minutes).astype(np.float32)
        rates[_UNOBSERVED_WORD:] = np.nan
        product = (
            PRODUCT if minutes == 5.0 else replace(PRODUCT, name=f"KNMI accumulation of {minutes:g} min")
        )
    yield observations(rates[values][None], [np.datetime64(end, "ns")], grid, product.attributes(relation))


def _grid(geographic: Any, shape: tuple[int, int]) -> Grid:
    """The grid of KNMI's `geographic` group, whose lengths may be in kilometres."""
    keys = ("geo_column_offset", "geo_row_offset", "geo_pixel_size_x", "geo_pixel_size_y", "geo_dim_pixel")
    attributes = geographic.attrs
    column, row, dx, dy = (float(np.ravel(attributes[key])[0]) for key in keys[:4])
    projection = text(geographic["map_projection"].attrs["projection_proj4_params"])
    if projection == _WRONG_PROJECTION:
        projection, scale = _RIGHT_PROJECTION, 1.0
        column, row, dx, dy = 0.0, 3650.0, 1000.0, -1000.0
    else:
        scale = 1.0 if text(attributes[keys[4]]).split(",", maxsplit=1)[0] == "M" else 1000.0
    west, north = column * dx * scale, row * dy * scale
    return Grid.from_edges(
        shape,
        west=west,
        east=west + shape[1] * dx * scale,
        south=north - shape[0] * abs(dy) * scale,
        north=north,
        crs=in_metres(projection) if scale == 1000.0 else projection,
    )
