"""ODIM HDF5 composites: OPERA's (old and CIRRUS) and those of national services."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import HDF5, Product, ReadOptions, check_frame, rate_of_decibel, text
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation, rate_of_accumulation

NAME = "odim"
_OPERA_SOURCE = "ORG:247"
_COMPOSITES = ("COMP", "IMAGE")
_QUANTITIES = ("RATE", "ACRR", "DBZH")
_ROWS_AT_ONCE = 256


def recognise(path: Path, head: bytes) -> bool:
    """HDF5 that declares itself ODIM."""
    if not head.startswith(HDF5):
        return False
    import h5py

    with h5py.File(path) as file:
        return "ODIM_H5" in text(file.attrs.get("Conventions", "")) and "dataset1" in file


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame: rain rate, accumulation or reflectivity, whichever comes first in this order.

    pysteps' importer gives the same values, as a test holds it to, with four times the memory.
    """
    import h5py

    with h5py.File(path) as file:
        what, where = file["what"].attrs, file["where"].attrs
        if (kind := text(what.get("object", ""))) not in _COMPOSITES:
            raise ObservationError(f"expected a composite (object COMP), found {kind}")
        time = _time(what, "date", "time")
        found = {text(entry["quantity"]): (data, entry) for data, entry in _entries(file)}
        quantity = next((q for q in _QUANTITIES if q in found), None)
        if quantity is None:
            raise ObservationError(f"expected one of {', '.join(_QUANTITIES)}, found {', '.join(found)}")
        data, entry = found[quantity]
        shape = check_frame(data.shape)
        grid = _grid(shape, where)
        relation = (options.zr or ZRRelation()) if quantity == "DBZH" else None
        minutes = _minutes(entry) if quantity == "ACRR" else 60.0
        kind = f"{quantity} of {minutes:g} min" if quantity == "ACRR" else quantity
        product = _product(text(what.get("source", "")), kind)
        rate = np.empty((1, *shape), np.float32)
        # By blocks of rows: the values may be stored as float64.
        for first in range(0, shape[0], _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            rate[0, rows] = _rates(data[rows], entry, relation, minutes)
    yield observations(rate, [np.datetime64(time, "ns")], grid, product.attributes(relation))


def _rates(
    stored: NDArray[Any], entry: Mapping[str, Any], relation: ZRRelation | None, minutes: float
) -> NDArray[Any]:
    gain, offset, nodata, undetect = (float(entry[key]) for key in ("gain", "offset", "nodata", "undetect"))
    values = stored * gain + offset
    values[stored == nodata] = np.nan
    nothing = stored == undetect
    if relation is not None:
        return rate_of_decibel(values, nothing, relation)
    return np.where(nothing, 0.0, rate_of_accumulation(values, minutes))


def _entries(file: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each dataset with its attributes, which may stand with the data or one level up."""
    for name in sorted(key for key in file if key.startswith("dataset")):
        outer = dict(file[name]["what"].attrs) if "what" in file[name] else {}
        for key in sorted(key for key in file[name] if key.startswith("data")):
            group = file[name][key]
            entry = outer | (dict(group["what"].attrs) if "what" in group else {})
            if "quantity" in entry and "data" in group:
                yield group["data"], entry


def _grid(shape: tuple[int, int], where: Mapping[str, Any]) -> Grid:
    """The pixel size is exact; the corner, stored as angles, is exact to a few millimetres only."""
    from pyproj import CRS, Proj

    projection = text(where["projdef"])
    dx, dy = float(where["xscale"]), float(where["yscale"])
    height, width = shape
    corner = [float(where[key]) for key in ("LL_lon", "LL_lat")]
    if CRS.from_user_input(projection).is_geographic:
        return Grid.from_latitude_longitude(
            corner[1] + dy * (np.arange(height)[::-1] + 0.5), corner[0] + dx * (np.arange(width) + 0.5)
        )
    west, south = (round(metres, 2) for metres in Proj(projection)(corner[0], corner[1]))
    return Grid.from_edges(
        shape, west=west, east=west + width * dx, south=south, north=south + height * dy, crs=projection
    )


def _time(attributes: Mapping[str, Any], date: str, time: str) -> datetime:
    stamp = text(attributes[date]) + text(attributes[time])
    if len(stamp) != 14:
        raise ObservationError(f"expected a time like 20180824181500, found {stamp}")
    return datetime.strptime(stamp, "%Y%m%d%H%M%S")


def _minutes(entry: Mapping[str, Any]) -> float:
    """Minutes between start and end of a dataset."""
    begin, end = (_time(entry, f"{name}date", f"{name}time") for name in ("start", "end"))
    if end <= begin:
        raise ObservationError(f"expected an end after the start {begin}, found {end}")
    return (end - begin).total_seconds() / 60.0


def _product(source: str, kind: str) -> Product:
    """OPERA's own product, or a national one named by its source identifier."""
    if not source or _OPERA_SOURCE in source:
        return Product(f"OPERA {kind}", "EUMETNET OPERA", "CC-BY-4.0", "EU-OPERA-rainfall_rate")
    names = dict(part.split(":", maxsplit=1) for part in source.split(",") if ":" in part)
    entity = names.get("CMT") or names.get("PLC") or names.get("NOD") or names.get("ORG") or source
    return Product(f"ODIM {kind} {source}", entity, "unknown", "")
