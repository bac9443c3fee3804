"""FMI lowest-level reflectivity composite as PGM."""

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, parts_of_name, rate_of_decibel
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation

NAME = "fmi_pgm"
PRODUCT = Product(
    "FMI lowest-level reflectivity composite",
    "Finnish Meteorological Institute",
    "CC-BY-4.0",
    "FI-FMI-rainfall_rate",
)
RELATION = ZRRelation(a=223.0, b=1.53)
_FILE_NAME = re.compile(r"^(?P<time>\d{12})_")
_PARAMETER, _PROJECTION = "CorrectedReflectivity", "stereographic"
_PLACE = {"centrallongitude": 1, "centrallatitude": 1, "truelatitude": 1, "bottomleft": 2, "topright": 2}
_PLACE |= {"metersperpixel_x": 1, "metersperpixel_y": 1}
_NO_ECHO = -32.0
# Codes, as pysteps reads them; the last one of the image is unobserved.
_ZERO, _CODES_A_DECIBEL = 64.0, 2.0
# What the header does not say of the projection.
_SPHERE_AND_ORIGIN = "+a=6371288 +x_0=380886.310 +y_0=3395677.920 +no_defs"
_LONGEST_LINE, _HEADER_BYTES = 1000, 65_536
_COMMENT = re.compile(rb"#[^\n]*\n")


def recognise(_: Path, head: bytes) -> bool:
    """A binary PGM image."""
    return head.startswith(b"P5")


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame; its time stands in the header as obstime, else in the file name."""
    from PIL import Image

    header = _header(path)
    if (parameter := _last(header, "param") or _PARAMETER) != _PARAMETER:
        raise ObservationError(f"expected {_PARAMETER} as param of the header, found {parameter}")
    if (projection := _last(header, "type") or "none") != _PROJECTION:
        raise ObservationError(f"expected {_PROJECTION} as type of the header, found {projection}")
    for name, count in _PLACE.items():
        _check_numbers(header, name, count)
    stamp = _last(header, "obstime") or parts_of_name(_FILE_NAME, path, "201609281445_fmi….pgm")["time"]
    with Image.open(path) as image:
        check_frame(image.size[::-1])
        code = np.asarray(image)
    reflectivity = np.where(code == _unobserved(path), np.nan, (code - _ZERO) / _CODES_A_DECIBEL)
    relation = options.zr or RELATION
    yield observations(
        rate_of_decibel(reflectivity, reflectivity <= _NO_ECHO, relation)[None],
        [np.datetime64(datetime.strptime(stamp, "%Y%m%d%H%M"), "ns")],
        _grid(code.shape, header),
        PRODUCT.attributes(relation),
    )


def _grid(shape: tuple[int, ...], header: dict[str, list[str]]) -> Grid:
    from pyproj import Proj

    lon, lat, true = (header[name][0] for name in ("centrallongitude", "centrallatitude", "truelatitude"))
    crs = f"+proj=stere +lon_0={lon}E +lat_0={lat}N +lat_ts={true} {_SPHERE_AND_ORIGIN}"
    project = Proj(crs)
    (west, south), (east, north) = (
        project(float(header[corner][0]), float(header[corner][1])) for corner in ("bottomleft", "topright")
    )
    height, width = shape
    return Grid.from_edges((height, width), west=west, east=east, south=south, north=north, crs=crs)


def _unobserved(path: Path) -> int:
    """The largest code: the fourth word of the file, comments left out."""
    with path.open("rb") as file:
        words = _COMMENT.sub(b"", file.read(_HEADER_BYTES)).split(maxsplit=4)
    return int(words[3])


def _header(path: Path) -> dict[str, list[str]]:
    """The comments after the type of image: the other words of each by its first."""
    words = []
    with path.open("rb") as file:
        file.readline()
        while (line := file.readline(_LONGEST_LINE)).startswith(b"#"):
            words.append(line.decode(errors="replace").removeprefix("#").split())
    return {line[0]: line[1:] for line in words if len(line) > 1}


def _last(header: dict[str, list[str]], name: str) -> str:
    return header[name][-1] if name in header else ""


def _check_numbers(header: dict[str, list[str]], name: str, count: int) -> None:
    """Refuse a header without so many numbers under a name."""
    words = header.get(name, [])
    numbers = []
    with suppress(ValueError):
        numbers = [float(word) for word in words]
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ObservationError(
            f"expected {name} of the header as {'a number' if count == 1 else f'{count} numbers'}, "
            f"found {' '.join(words) or 'none'}"
        )
