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


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
