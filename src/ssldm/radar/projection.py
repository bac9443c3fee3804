"""The map projection that an xarray object names, and what its coordinates are counted in."""

import warnings
from ast import literal_eval
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import NotGeoreferenced, ObservationError
from ssldm.radar.grid import GRID_MAPPING


def projection_of(data: xr.DataArray, dataset: xr.Dataset) -> str | None:
    """WKT of the grid mapping that the data name, else of the only one that there is; None for none.

    Raises:
        ObservationError: several that are not named, or one that describes no projection.
    """
    from pyproj.exceptions import CRSError

    named = data.attrs.get("grid_mapping", data.encoding.get("grid_mapping"))
    found = [str(name) for name in dataset.variables if _describes_projection(dataset[name])]
    if named is not None:
        name = _named(str(named), {str(dim) for dim in data.dims})
        if name not in dataset.variables:
            warnings.warn(
                f"the grid mapping {name!r} is not there: the data are not georeferenced",
                NotGeoreferenced,
                stacklevel=2,
            )
            return None
    elif not found:
        return None
    elif len(found) > 1 and GRID_MAPPING not in found:
        raise ObservationError(f"expected the data to name their grid mapping, found {', '.join(found)}")
    else:
        name = GRID_MAPPING if GRID_MAPPING in found else found[0]
    attributes = dataset[name].attrs
    wkt = attributes.get("crs_wkt") or attributes.get("spatial_ref")
    try:
        return str(wkt) if wkt else _wkt_of_cf(repr({k: _plain(v) for k, v in attributes.items()}))
    except (CRSError, KeyError, ValueError) as error:
        raise ObservationError(f"the grid mapping {name!r} describes no projection ({error})") from error


def _named(mapping: str, dims: set[str]) -> str:
    """The grid mapping of some dimensions; CF may name several, each with its coordinates after a colon."""
    parts = [part.split() for part in mapping.replace(":", ": ").split(":")]
    if len(parts) < 2:
        return mapping.strip()
    names = [part[-1] for part in parts[:-1] if part]
    coordinates = [set(part) for part in parts[1:]]
    of_dims = [name for name, given in zip(names, coordinates, strict=False) if len(given & dims) >= 2]
    return (of_dims or names or [""])[0]


def _describes_projection(variable: xr.DataArray) -> bool:
    return variable.ndim == 0 and bool({"crs_wkt", "spatial_ref", "grid_mapping_name"} & set(variable.attrs))


@lru_cache(maxsize=8)
def _wkt_of_cf(attributes: str) -> str:
    """WKT of the CF attributes of a projection, written as a literal; pyproj takes long over it."""
    from pyproj import CRS

    return str(CRS.from_cf(literal_eval(attributes)).to_wkt())


@lru_cache(maxsize=8)
def crs_of(wkt: str) -> Any:
    """The `pyproj.CRS` of WKT or a PROJ string.

    Raises:
        ObservationError: of neither.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(wkt)
    except CRSError as error:
        raise ObservationError(f"expected a projection, found {wkt[:60]!r} ({error})") from error


def in_degrees(crs: str | None) -> bool:
    """Whether the coordinates of a projection are latitudes and longitudes.

    Raises:
        ObservationError: those of another pole.
    """
    if crs is None:
        return False
    if not (crs_of(crs).is_geographic or crs_of(crs).is_projected):
        raise ObservationError(
            f"expected a map projection, found {crs_of(crs).name!r} ({crs_of(crs).type_name})"
        )
    if not crs_of(crs).is_geographic:
        return False
    if crs_of(crs).is_derived:
        raise ObservationError(f"expected a projection, found a rotated grid ({crs_of(crs).name})")
    return True


@lru_cache(maxsize=8)
def with_metres(wkt: str) -> str:
    """The same projection with axes in metres, as all coordinates here are."""
    from pyproj import CRS

    crs = crs_of(wkt)
    if all(axis.unit_conversion_factor in {0.0, 1.0} for axis in crs.axis_info):
        return wkt
    if not crs.is_projected:
        raise ObservationError(f"expected a projection, found {crs.name}")
    description = crs.to_json_dict()
    for axis in description["coordinate_system"]["axis"]:
        axis["unit"] = "metre"
    description.pop("id", None)
    return str(CRS.from_json_dict(description).to_wkt())


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
