"""ODIM HDF5 composites: OPERA's (old and CIRRUS) and those of national services."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.hdf5_attributes import Attributes, attributes_of
from ssldm.radar.formats.odim_fields import Field, frames, odim_time, period_minutes
from ssldm.radar.formats.odim_grid import grid_of
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, is_hdf5, rate_of_decibel, text
from ssldm.radar.formats.stored_codes import check_code, check_factors, holds
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation, rate_of_accumulation

NAME = "odim"
_OPERA_SOURCE = "ORG:247"
_COMPOSITES = ("COMP", "IMAGE")
_ROWS_AT_ONCE = 256


def recognise(path: Path, head: bytes) -> bool:
    """HDF5 that declares itself ODIM."""
    if not is_hdf5(path, head):
        return False
    import h5py

    with h5py.File(path) as file:
        return "ODIM_H5" in text(file.attrs.get("Conventions", "")) and "dataset1" in file


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """Rain rate, accumulation or reflectivity, whichever comes first in this order: one frame, or several.

    A file of one frame has the time that it states for itself. Several frames of one product differ in their
    own end times, which they then have.

    pysteps' importer gives the same values, as a test holds it to, with four times the memory.
    """
    import h5py

    with h5py.File(path) as file:
        what = attributes_of(file, "what")
        if (kind := what.text("object")) not in _COMPOSITES:
            raise ObservationError(f"expected a composite (object COMP), found {kind}")
        for field, time in frames(file, odim_time(what, "date", "time")):
            yield _frame(field, time, text(what.values.get("source", "")), options)


def _frame(field: Field, time: datetime, source: str, options: ReadOptions) -> xr.DataArray:
    shape = check_frame(field.data.shape)
    grid = grid_of(shape, field.where)
    quantity = field.quantity
    relation = (options.zr or ZRRelation()) if quantity == "DBZH" else None
    minutes = period_minutes(field.what) if quantity == "ACRR" else None
    kind = quantity if minutes is None else f"{quantity} of {minutes:g} min"
    codes = _Codes.of(field.what, field.data.dtype)
    rate = np.empty((1, *shape), np.float32)
    # By blocks of rows: the values may be stored as float64.
    for first in range(0, shape[0], _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        rate[0, rows] = codes.rates(field.data[rows], relation, minutes)
    extra = {} if minutes is None else {"accumulation_minutes": minutes}
    attributes = _product(source, kind).attributes(relation, **extra)
    return observations(rate, [np.datetime64(time, "ns")], grid, attributes)


@dataclass(frozen=True)
class _Codes:
    """What stored values mean."""

    gain: float
    offset: float
    nodata: float
    undetect: float

    @classmethod
    def of(cls, what: Attributes, dtype: np.dtype[Any]) -> "_Codes":
        """What a field says of its values.

        Raises:
            ObservationError: something is missing, a gain or offset makes no values, or ``dtype`` cannot hold
                a code.
        """
        gain, offset, *codes = (what.number(name) for name in ("gain", "offset", "nodata", "undetect"))
        check_factors(gain, offset)
        for name, code in zip(("what/nodata", "what/undetect"), codes, strict=True):
            check_code(name, code, dtype)
        return cls(gain, offset, *codes)

    def rates(self, stored: NDArray[Any], relation: ZRRelation | None, minutes: float | None) -> NDArray[Any]:
        """Rain rate in mm/h; NaN where no radar sees, 0 where nothing came back.

        Raises:
            ObservationError: a pixel whose code is that of both.
        """
        missing, nothing = holds(stored, self.nodata), holds(stored, self.undetect)
        if (missing & nothing).any():
            raise ObservationError(
                f"expected codes of their own for nodata and undetect, found {self.nodata:g} for both: "
                "dry and unobserved pixels cannot be told apart"
            )
        values = stored * self.gain + self.offset
        values[missing] = np.nan
        if relation is not None:
            return rate_of_decibel(values, nothing, relation)
        return np.where(nothing, 0.0, rate_of_accumulation(values, 60.0 if minutes is None else minutes))


def _product(source: str, kind: str) -> Product:
    """OPERA's own product, or a national one named by its source identifier."""
    if not source or _OPERA_SOURCE in source:
        return Product(f"OPERA {kind}", "EUMETNET OPERA", "CC-BY-4.0", "EU-OPERA-rainfall_rate")
    names = dict(part.split(":", maxsplit=1) for part in source.split(",") if ":" in part)
    entity = names.get("CMT") or names.get("PLC") or names.get("NOD") or names.get("ORG") or source
    return Product(f"ODIM {kind} {source}", entity, "unknown", "")
