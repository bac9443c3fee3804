"""DWD RADOLAN composites: RX and WX (reflectivity), RY and YW (5 minutes), RW (1 hour), binary."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, rate_of_decibel
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import FloatArray, ZRRelation, rate_of_accumulation

NAME = "radolan"
RELATION = ZRRelation(a=256.0, b=1.42)
_REFLECTIVITY, _ACCUMULATION = ("RX", "WX"), ("RY", "RW", "YW")
# Of RADVOR and other systems; their first frame is an analysis, but no measurement either.
_FORECASTS = ("RV", "RQ", "RE", "RS", "WN", "FX")
_HEADER = re.compile(rb"[A-Z]{2}\d{6}\d{5}\d{4}")
# Version of the header, since which the grid lies on the ellipsoid of WGS84, not on a sphere.
_FIRST_VERSION_ON_ELLIPSOID = 5
_NO_ECHO, _UNOBSERVED = -32.5, -9999


def recognise(_: Path, head: bytes) -> bool:
    """The product, time, radar and date that begin a RADOLAN header."""
    return _HEADER.match(head) is not None


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame, northern row first; what no radar covers and clutter are unobserved."""
    from wradlib.io.radolan import read_radolan_composite

    _, header = read_radolan_composite(str(path), loaddata=False)
    name = header["producttype"]
    ahead = header.get("predictiontime") or 0
    if name in _FORECASTS or ahead > 0:
        raise ObservationError(
            f"expected observations, found a forecast (RADOLAN {name}, {ahead} minutes ahead); "
            f"of DWD's products {', '.join(_REFLECTIVITY + _ACCUMULATION)} are read; open_nowcast opens RV"
        )
    if name not in _REFLECTIVITY + _ACCUMULATION:
        known = ", ".join(_REFLECTIVITY + _ACCUMULATION)
        raise ObservationError(f"expected one of the RADOLAN products {known}, found {name}")
    check_frame((header["nrow"], header["ncol"]))
    values, header = read_radolan_composite(str(path), missing=_UNOBSERVED)
    unobserved = values == _UNOBSERVED
    if "cluttermask" in header:
        unobserved.flat[header["cluttermask"]] = True
    values = np.where(unobserved, np.nan, values)
    relation = None
    extra = {}
    if name in _REFLECTIVITY:
        relation = options.zr or RELATION
        reflectivity = values / 2.0 - 32.5
        rate: FloatArray = rate_of_decibel(reflectivity, reflectivity <= _NO_ECHO, relation)
    else:
        minutes = (header.get("intervalseconds") or 0) / 60.0
        if minutes <= 0.0:
            raise ObservationError(
                f"expected a positive interval as INT of the header, found {minutes:g} min"
            )
        rate = rate_of_accumulation(values, minutes)
        extra = {"accumulation_minutes": minutes}
    product = Product(f"DWD RADOLAN {name}", "Deutscher Wetterdienst", "CC-BY-4.0", "DE-DWD-rainfall_rate")
    yield observations(
        np.maximum(rate[::-1], 0.0)[None],
        [np.datetime64(header["datetime"], "ns")],
        grid_of(header),
        product.attributes(relation, **extra),
    )


def grid_of(header: Mapping[str, Any]) -> Grid:
    """The grid of a composite, northern row first, by what wradlib reads of its header."""
    from wradlib.georef.projection import create_crs
    from wradlib.georef.rect import get_radolan_coordinates

    on_ellipsoid = header.get("formatversion", 0) >= _FIRST_VERSION_ON_ELLIPSOID
    shape = header["nrow"], header["ncol"]
    if on_ellipsoid:
        x, y = get_radolan_coordinates(*shape, crs=create_crs("dwd-radolan-wgs84"), mode="center")
    else:
        x, y = (kilometres * 1000.0 for kilometres in get_radolan_coordinates(*shape, mode="center"))
    return Grid(
        x=x,
        y=y[::-1],
        crs="+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +x_0=0 +y_0=0 "
        f"{'+ellps=WGS84' if on_ellipsoid else '+R=6370040'} +units=m +no_defs",
    )
