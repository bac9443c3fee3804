"""What a radar format is to the rest of the package."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from ssldm.config import Config
from ssldm.errors import ObservationError
from ssldm.radar.units import FloatArray, ZRRelation

MAX_PIXELS = 1 << 26
# In mm/h: what is negative by less is dry, as packing and interpolation leave it.
ROUNDING = 1e-3
_LIMITED, _LIMITED_TEXT = "max_rate_comment", "rates above max_rate (mm/h) are unobserved"
HDF5 = b"\x89HDF\r\n\x1a\n"


class ReadOptions(Config):
    """How files are turned into rain rates.

    Attributes:
        zr: relation of reflectivity and rain rate; None is the one that the service uses.
        max_rate: rates above it, in mm/h, are no rain but clutter or hail, and become unobserved. The most
            that was ever measured over five minutes is 756 mm/h.
    """

    zr: ZRRelation | None = None
    max_rate: float = Field(default=1000.0, gt=0.0, allow_inf_nan=False)


class RadarFormat(Protocol):
    """A module that reads one product; `open_radar` names the file in whatever error it raises."""

    NAME: str

    def recognise(self, path: Path, head: bytes, /) -> bool:
        """Whether a file whose first bytes are ``head`` is of this format."""
        ...

    def read(self, path: Path, options: ReadOptions, /) -> Iterator[xr.DataArray]:
        """The observations in one file, in one or several pieces of one place each."""
        ...


@dataclass(frozen=True)
class Product:
    """Where a product comes from.

    Attributes:
        name: the service and the product.
        institution: who publishes it.
        license: SPDX identifier, or what is known of it.
        identifier: country, entity and variable in the MLCast form.
    """

    name: str
    institution: str
    license: str
    identifier: str

    def attributes(self, relation: ZRRelation | None = None, **extra: Any) -> dict[str, Any]:
        """Attributes of observations; ``relation`` is recorded where reflectivity was converted."""
        zr = {} if relation is None else {"zr_a": relation.a, "zr_b": relation.b}
        return {
            "product": self.name,
            "institution": self.institution,
            "license": self.license,
            "mlcast_dataset_identifier": self.identifier,
            **zr,
            **extra,
        }


def rate_of_decibel(
    reflectivity: FloatArray, no_echo: NDArray[np.bool_], relation: ZRRelation
) -> NDArray[np.float32]:
    """Rain rate in mm/h of reflectivity in dBZ, 0 where nothing came back, NaN where the reflectivity is."""
    return np.where(no_echo, np.float32(0.0), relation.rain_rate(reflectivity).astype(np.float32))


def check_frame(shape: tuple[int, ...]) -> tuple[int, int]:
    """The same shape, once it is known to be that of one frame of a sensible size.

    Raises:
        ObservationError: other than two dimensions, nothing in it, or more than 2²⁶ pixels.
    """
    if len(shape) != 2 or 0 in shape:
        raise ObservationError(f"expected frames (y, x), found {tuple(shape)}")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise ObservationError(f"expected frames of at most {MAX_PIXELS} pixels, found {shape[0]}×{shape[1]}")
    return int(shape[0]), int(shape[1])


def is_limited(data: xr.DataArray, options: ReadOptions) -> bool:
    """Whether `limited` has seen the observations, as its attributes tell."""
    return data.attrs.get("max_rate") == options.max_rate and data.attrs.get(_LIMITED) == _LIMITED_TEXT


def limited(data: xr.DataArray, options: ReadOptions) -> xr.DataArray:
    """The same observations without what is no rain; the attributes say so.

    Rates above ``max_rate``, infinite ones included, and negative ones are unobserved; what is negative by
    less than `ROUNDING` is rounding noise and dry.
    """
    if is_limited(data, options):
        return data
    if data.chunks is None:
        values = data.values
        with np.errstate(invalid="ignore"):
            noise, wrong = (
                (values < 0.0) & (values >= -ROUNDING),
                (values > options.max_rate) | (values < -ROUNDING),
            )
        if noise.any() or wrong.any():
            values = np.where(wrong, np.float32(np.nan), np.where(noise, np.float32(0.0), values))
            data = data.copy(data=values)
    else:
        data = data.where((data >= -ROUNDING) & (data <= options.max_rate)).clip(min=0.0)
    return data.assign_attrs({"max_rate": options.max_rate, _LIMITED: _LIMITED_TEXT})


def is_hdf5(path: Path, head: bytes) -> bool:
    """Whether a file is HDF5, which may begin with a block of another kind of 512, 1024, 2048… bytes."""
    if head.startswith(HDF5):
        return True
    with path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        place = 512
        while place < size:
            file.seek(place)
            if file.read(len(HDF5)) == HDF5:
                return True
            place *= 2
    return False


def one_value(value: Any) -> Any:
    """The value in an array of one element; other values as they are.

    Raises:
        ObservationError: none, or several.
    """
    if isinstance(value, np.ndarray):
        if value.size != 1:
            raise ObservationError(f"expected one value, found {value.size}")
        return value.item()
    return value.item() if isinstance(value, np.generic) else value


def text(value: Any) -> str:
    """An HDF5 attribute, stored as bytes, string or array of one, as a string without what pads it."""
    item = one_value(value)
    return (item.decode(errors="replace") if isinstance(item, bytes) else str(item)).strip(" \0")


def parts_of_name(pattern: re.Pattern[str], path: Path, example: str) -> dict[str, str]:
    """The named groups of a pattern found in a file's name.

    Raises:
        ObservationError: the name is not like ``example``.
    """
    if (found := pattern.search(path.name)) is None:
        raise ObservationError(f"expected a file name like {example}, found {path.name}")
    return found.groupdict()
