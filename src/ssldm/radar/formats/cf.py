"""CF NetCDF, CF Zarr and MLCast archives."""

import warnings
from collections.abc import Hashable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.block_counts import OBSERVED, WET
from ssldm.radar.fetching import fault
from ssldm.radar.formats.protocol import HDF5, ReadOptions, check_frame, is_limited, limited
from ssldm.radar.from_xarray import find_variable, observations_of
from ssldm.radar.store_urls import local_path, zarr_store
from ssldm.radar.units import Quantity, quantity_of

NAME = "cf"
_COUNTS = {WET, OBSERVED}


class _Open(Protocol):
    """Opens one and the same dataset, with dask in ``chunks`` or, where None, without."""

    def __call__(self, *, chunks: dict[Hashable, int] | None) -> xr.Dataset: ...


def recognise(path: Path, head: bytes) -> bool:
    """NetCDF, classic or on HDF5, or a Zarr store."""
    return path.is_dir() or head.startswith((b"CDF", HDF5))


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """The series, lazily: frames are read, decoded and converted when they are used."""
    if path.is_dir():
        for group in groups_of(str(path)):
            yield open_store(str(path), group, options)
        return
    with path.open("rb") as file:
        classic = file.read(3) == b"CDF"
    if classic:
        yield _lazily(partial(xr.open_dataset, path, engine="scipy"), options)
        return
    # Dimensions without a scale in HDF5 get a name; they are refused later for want of coordinates.
    open_group = partial(xr.open_dataset, path, engine="h5netcdf", phony_dims="access")
    yield _lazily(partial(open_group, group=_rain_group(path)), options)


def _rain_group(path: Path) -> str | None:
    """The group of a NetCDF-4 file that holds rain: the root if it has fields, else the only one that does.

    Raises:
        ObservationError: several groups hold rain.
    """
    import h5py

    fields: dict[str, list[str]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 2:
            group, _, variable = name.rpartition("/")
            fields.setdefault(group, []).append(variable)

    with h5py.File(path) as file:
        file.visititems(visit)
    if "" in fields or not fields:
        return None
    with_rain = []
    for group in fields:
        with xr.open_dataset(path, engine="h5netcdf", phony_dims="access", group=group) as dataset:
            try:
                find_variable(dataset)
            except ObservationError:
                continue
            with_rain.append(group)
    if len(with_rain) != 1:
        found = ", ".join(with_rain or fields)
        raise ObservationError(f"expected rain at the root or in one group, found the groups {found}")
    return with_rain[0]


def groups_of(url: str) -> list[str | None]:
    """The groups of a Zarr store that hold a series: None is the root.

    Raises:
        ObservationError: no store, or nothing in it.
    """
    import zarr

    try:
        root = zarr.open_group(zarr_store(url), mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise ObservationError(f"expected an archive, found none at {url}") from error
    except Exception as error:
        if local_path(url) is not None:
            raise
        raise ObservationError(f"expected an archive at {url}: {fault(error, url)}") from error
    if any(array.ndim >= 2 for _, array in root.arrays()):
        return [None]
    fields = (
        name for name, node in root.members(max_depth=None) if isinstance(node, zarr.Array) and node.ndim >= 2
    )
    groups = sorted(
        {group for group, _, name in (field.rpartition("/") for field in fields) if name not in _COUNTS}
    )
    if not groups:
        raise ObservationError(f"expected observations in the archive {url}, found nothing")
    return list(groups)


def open_store(url: str, group: str | None, options: ReadOptions | None = None) -> xr.DataArray:
    """The series in a Zarr store or in a group of it, lazily; its own limit of rates by default."""

    def open_dataset(*, chunks: dict[Hashable, int] | None) -> xr.Dataset:
        with warnings.catch_warnings():
            # Stores without consolidated metadata are well-formed; the third format has none.
            warnings.simplefilter("ignore", RuntimeWarning)
            dataset: xr.Dataset = xr.open_zarr(zarr_store(url), group=group, chunks=chunks)
            return dataset

    return _lazily(open_dataset, options)


def _lazily(open_dataset: _Open, options: ReadOptions | None) -> xr.DataArray:
    """Without dask where a frame is used as it is stored, which is quicker, else by frames."""
    dataset = open_dataset(chunks=None)
    variable = find_variable(dataset)
    check_frame(variable.shape[-2:])
    options = options or ReadOptions(max_rate=variable.attrs.get("max_rate", ReadOptions().max_rate))
    if _as_stored(variable, options):
        return observations_of(dataset, options)
    dataset.close()
    by_frame = {} if variable.encoding.get("preferred_chunks") else dict.fromkeys(variable.dims[:-2], 1)
    return limited(observations_of(open_dataset(chunks=by_frame), options), options)


def _as_stored(variable: xr.DataArray, options: ReadOptions) -> bool:
    return (
        quantity_of(str(variable.attrs.get("units", ""))) == Quantity("rate", 1.0)
        and variable.dtype == np.float32
        and variable.ndim == 3
        and is_limited(variable, options)
    )
