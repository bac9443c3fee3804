"""What a forecast must be to be written, and what an older output must be to be replaced by one."""

import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError, OutputError
from ssldm.products.nowcast import members_of
from ssldm.radar.folders import ZARR_MARKS
from ssldm.radar.grid import GRID_MAPPING
from ssldm.radar.observations import NAME

_ZARR_METADATA = {*ZARR_MARKS, ".zarray", ".zattrs"}
_CHUNK = re.compile(r"\d+(\.\d+)*")


def writable(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset, if it can be read again as a forecast; members that are yet to be made are checked then.

    Raises:
        ObservationError: no rain rates by member and lead time, none at all, or rates that cannot be.
        OutputError: a map projection that is not one for all members and lead times.
    """
    rate = members_of(dataset)
    check_not_empty(rate)
    if rate.dtype.kind not in "fiu":
        raise ObservationError(f"expected rain rates as numbers, found {rate.dtype}")
    if rate.chunks is None:
        _check_rates(rate.values)
    else:
        dataset = dataset.assign({NAME: rate.copy(data=rate.data.map_blocks(_check_rates, dtype=rate.dtype))})
    if GRID_MAPPING not in dataset.coords:
        return dataset
    mapping = dataset[GRID_MAPPING]
    if mapping.ndim or not isinstance(mapping.attrs.get("crs_wkt"), str):
        raise OutputError(
            f"expected {GRID_MAPPING!r} as one map projection with the attribute 'crs_wkt', "
            f"found dimensions {mapping.dims} and attributes {list(mapping.attrs)}"
        )
    return dataset


def _check_rates(values: NDArray[Any]) -> NDArray[Any]:
    """The values, unless they are no rain rates."""
    least, most = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if least < 0 or np.isinf(most):
        raise ObservationError(
            f"expected rain rates of 0 mm/h or more, or NaN, found {least if least < 0 else most:g}"
        )
    return values


def check_not_empty(rate: xr.DataArray) -> None:
    """Refuse rain rates of no member, lead time or pixel.

    Raises:
        ObservationError: a dimension of size 0.
    """
    if empty := [str(dim) for dim, size in rate.sizes.items() if not size]:
        raise ObservationError(
            f"expected a forecast with something in it, found size 0 of {', '.join(empty)}"
        )


def with_numbers_for_truth(dataset: xr.Dataset) -> xr.Dataset:
    """A copy whose attributes hold 1 and 0 for true and false, which the formats do not know."""
    copy = dataset.copy()
    copy.attrs = _as_numbers(copy.attrs)
    for variable in copy.variables.values():
        variable.attrs = _as_numbers(variable.attrs)
    return copy


def _as_numbers(attributes: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    def number(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [number(each) for each in value]
        if isinstance(value, bool | np.bool_):
            return int(value)
        truths = isinstance(value, np.ndarray) and value.dtype == np.bool_
        return value.astype(np.int8) if truths else value

    return {name: number(value) for name, value in attributes.items()}


def check_outside_of_stores(path: Path) -> None:
    """Refuse a place inside of a Zarr store, which would no longer hold what it is for alone.

    Raises:
        OutputError: a folder above is a store.
    """
    for folder in Path(os.path.realpath(path)).parents:
        if any((folder / mark).exists() for mark in _ZARR_METADATA):
            raise OutputError(
                f"{path}: expected a place outside of Zarr stores, found one inside of {folder}"
            )


def is_store_alone(folder: Path) -> bool:
    """Whether a folder is a Zarr store with nothing beside what Zarr writes."""
    return any((folder / mark).is_file() for mark in ZARR_MARKS) and all(map(_is_zarrs, folder.rglob("*")))


def _is_zarrs(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        inside = [*path.iterdir()]
        chunks = path.name == "c" or _CHUNK.fullmatch(path.name) is not None
        return chunks or any(entry.name in _ZARR_METADATA for entry in inside)
    named = path.name in _ZARR_METADATA or _CHUNK.fullmatch(path.name) is not None
    return path.is_file() and not path.is_symlink() and (named or path.name == "c")
