"""The forecast as a CF dataset, in memory and on disk."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.atomic import check_folder_output, check_output
from ssldm.errors import ObservationError, OutputError, SsldmError
from ssldm.forecast.encoding import (
    LEAD_BOUNDS,
    START,
    netcdf_encoding,
    placed,
    with_lead_bounds,
    zarr_encoding,
)
from ssldm.forecast.writable import (
    check_outside_of_stores,
    is_store_alone,
    with_numbers_for_truth,
    writable,
)
from ssldm.hdf5_output import replacing_hdf5
from ssldm.paths import as_path, check_no_source, check_regular_file
from ssldm.products.nowcast import members_of
from ssldm.radar.grid import GRID_MAPPING
from ssldm.radar.observations import ATTRIBUTES, NAME
from ssldm.radar.sources import Source

NETCDF = (".nc", ".nc4")
ZARR = ".zarr"
_TIME = {"units_metadata": "leap_seconds: none"}


def nowcast_dataset(
    rate: NDArray[np.float32],
    observations: xr.DataArray,
    step: np.timedelta64,
    *,
    source: str,
    seed: int,
    settings: str,
    paired: bool = False,
) -> xr.Dataset:
    """A forecast as a dataset with CF conventions.

    Args:
        rate: ``(member, lead_time, y, x)`` in mm/h, NaN where no forecast can be made.
        observations: what it started from; gives grid and reference time. Of its attributes ``cell_methods``
            ("time: mean", over the step that ends at a frame's time, or "time: point") says what the rates of
            the forecast hold for, ``source_files`` the files it was read from, ``frames_interpolated`` and
            ``notes`` what was done to it.
        step: time between lead frames.
        source: model identifier and hash of its weights.
        seed: of the ensemble.
        settings: the command that makes such a forecast, for `history`.
        paired: whether members 2k and 2k + 1 have opposite noise.
    """
    start = observations["time"].values[-1].astype("datetime64[ns]")
    lead = (np.arange(1, rate.shape[1] + 1) * step).astype("timedelta64[ns]")
    grid = {
        name: observations.coords[name] for name in ("y", "x", GRID_MAPPING) if name in observations.coords
    }
    mapping = {"grid_mapping": GRID_MAPPING} if GRID_MAPPING in grid else {}
    methods = {"time: mean": "mean", "time: point": "point"}.get(observations.attrs.get("cell_methods", ""))
    held = {"cell_methods": f"lead_time: {methods}"} if methods else {}
    averaged = methods == "mean"
    bounds = {LEAD_BOUNDS: (("lead_time", "bound"), np.stack([lead - step, lead], axis=-1))}
    return xr.Dataset(
        {
            NAME: (("member", "lead_time", "y", "x"), rate, {**ATTRIBUTES, **held, **mapping}),
            **(bounds if averaged else {}),
        },
        coords={
            "member": (
                "member",
                np.arange(rate.shape[0], dtype=np.int32),
                {"standard_name": "realization", "long_name": "ensemble member", "units": "1"},
            ),
            **(_pairs(rate.shape[0]) if paired else {}),
            "lead_time": (
                "lead_time",
                lead,
                {
                    "standard_name": "forecast_period",
                    "long_name": "time since the last observation",
                    **({"bounds": LEAD_BOUNDS} if averaged else {}),
                },
            ),
            "valid_time": (
                "lead_time",
                start + lead,
                {"standard_name": "time", "long_name": "valid time", **_TIME},
            ),
            "forecast_reference_time": (
                (),
                start,
                {
                    "standard_name": "forecast_reference_time",
                    "long_name": "time of the last observation",
                    **_TIME,
                },
            ),
            **grid,
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "Ensemble nowcast of rain rate",
            "institution": observations.attrs.get("institution", "unknown"),
            "source": source,
            "history": f"ssldm {version('ssldm')} {settings}; model {source}; {_input(observations)}",
            "references": "https://doi.org/10.1109/tgrs.2024.3444789",
            "observations": observations.attrs.get("product", "unknown"),
            **({"place": observations.attrs["place"]} if "place" in observations.attrs else {}),
            **_input_notes(observations),
            "seed": seed,
        },
    )


def _pairs(members: int) -> dict[str, Any]:
    meaning = "pair of members with opposite noise; only members of different pairs are independent"
    return {
        "noise_pair": (
            "member",
            np.arange(members, dtype=np.int32) // 2,
            {"long_name": meaning, "units": "1"},
        )
    }


def _input(observations: xr.DataArray) -> str:
    first, last = np.datetime_as_string(observations["time"].values[[0, -1]].astype("datetime64[s]"))
    files = observations.attrs.get("source_files", ())
    names = files if isinstance(files, str) else ", ".join(files)
    product = observations.attrs.get("product", "unknown product")
    return f"input {product}, {observations.sizes['time']} frames from {first}Z to {last}Z" + (
        f" ({names})" if names else ""
    )


def _input_notes(observations: xr.DataArray) -> dict[str, str]:
    """What was done to the observations before they were used."""
    bridged = observations.attrs.get("frames_interpolated")
    notes = [f"frames interpolated: {bridged}" if bridged else "", observations.attrs.get("notes", "")]
    text = "; ".join(filter(None, notes))
    return {"input_notes": text} if text else {}


def check_nowcast_output(path: Path | str, sources: Sequence[str | Path] = ()) -> None:
    """Refuse what `write_nowcast` could not write to; for commands to call before they compute anything.

    Args:
        path: of the file or store.
        sources: what the forecast will be made from, as `ssldm.open_radar` takes it. In a folder among them
            nothing but an earlier forecast is replaced.

    Raises:
        OutputError: a name of no known format, no regular file, a folder that is no stored forecast, a place
            that cannot be written to or is inside of a Zarr store, or one of the sources.
    """
    path = as_path(path, OutputError)
    check_outside_of_stores(path)
    if _format_of(path) == ZARR:
        check_folder_output(path, _replaceable)
    else:
        check_output(path)
    check_no_source(path, sources, may_lie_in_folder=_holds_nowcast(path))


def write_nowcast(dataset: xr.Dataset, path: Path | str) -> None:
    """Write a forecast, aside and then renamed, in the format that the name ends in.

    `.nc` and `.nc4` are NetCDF-4, `.zarr` is a Zarr store of the second format, which GDAL reads too.
    ``lat`` and ``lon`` are added where the forecast is georeferenced. Attributes that are true or false are
    written as 1 and 0.

    Args:
        dataset: of `Nowcaster.nowcast`, or a selection of it; further variables are written as they are.
        path: of the file or store.

    Raises:
        ObservationError: no rain rates by member and lead time, or negative or infinite ones.
        OutputError: see `check_nowcast_output`, or content that the format cannot hold.
        OSError: the disk is full, or fails otherwise.
    """
    dataset = writable(dataset)
    path = as_path(path, OutputError)
    suffix = _format_of(path)
    check_outside_of_stores(path)
    import dask

    # Members that are made while they are written are made one after the other.
    one_by_one = dask.config.set(scheduler="synchronous")
    try:
        whole = with_numbers_for_truth(placed(dataset))
        if suffix == ZARR:
            from ssldm.zarr_output import replacing_zarr

            with one_by_one, replacing_zarr(path, _replaceable) as store:
                whole.to_zarr(store, encoding=zarr_encoding(whole), zarr_format=2, consolidated=True)
        else:
            with one_by_one, replacing_hdf5(path) as file:
                whole.to_netcdf(file, engine="h5netcdf", encoding=netcdf_encoding(whole))
    except (SsldmError, OSError, MemoryError):
        raise
    except Exception as error:  # libraries raise many kinds on what a format cannot hold
        raise OutputError(f"{path}: expected what {path.suffix} can hold ({_first_line(error)})") from error


def open_nowcast(path: Source) -> xr.Dataset:
    """A forecast that `write_nowcast` wrote, lazily; or one of others.

    These are CF NetCDF (`ssldm.forecast.foreign`) and RADOLAN composites RV of the German weather service
    (`ssldm.forecast.radolan_forecast`).

    Args:
        path: of a file or store; of RADOLAN also a tar archive, a folder, a pattern, or a list of files.

    Raises:
        ObservationError: no such file, or something else.
    """
    from ssldm.forecast.radolan_forecast import names_composites, open_composites

    if names_composites(path):
        return open_composites(path)
    path = as_path(path, ObservationError)
    files = path.rglob("*") if path.is_dir() else [path]
    for file in files:
        if not file.is_dir():
            check_regular_file(file, ObservationError)
    dataset = _opened(path)
    try:
        if NAME not in dataset:
            from ssldm.forecast.foreign import from_others

            dataset.close()
            dataset = from_others(_opened(path, decode_coords="all"))
        _check_one_start(members_of(dataset))
    except ObservationError as error:
        dataset.close()
        raise ObservationError(f"{path}: {error}") from error
    if GRID_MAPPING in dataset.coords:
        dataset[GRID_MAPPING].attrs.pop("GeoTransform", None)  # not that of what will be selected
    return with_lead_bounds(dataset)


def _opened(path: Path, **options: Any) -> xr.Dataset:
    try:
        dataset: xr.Dataset = (
            xr.open_zarr(path, chunks=None, decode_timedelta=True, **options)
            if path.is_dir()
            else xr.open_dataset(path, engine="h5netcdf", decode_timedelta=True, **options)
        )
    except MemoryError:
        raise
    except Exception as error:  # libraries raise many kinds on damaged files
        raise ObservationError(
            f"{path}: expected a nowcast in NetCDF or Zarr ({_first_line(error)})"
        ) from error
    return dataset


def _format_of(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (*NETCDF, ZARR):
        raise OutputError(f"{path}: expected a name ending in {', '.join((*NETCDF, ZARR))}")
    return suffix


def _replaceable(folder: Path) -> bool:
    """Whether a folder holds nothing, or a forecast and nothing beside it."""
    try:
        return not any(folder.iterdir()) or (is_store_alone(folder) and _holds_nowcast(folder))
    except FileNotFoundError:  # another writer took it away meanwhile
        return False


def _holds_nowcast(path: Path) -> bool:
    """Whether a forecast of `write_nowcast` is there."""
    try:
        with _opened(path) as found:
            _check_one_start(members_of(found))
    except ObservationError:
        return False
    return True


def _check_one_start(rate: xr.DataArray) -> None:
    if START in rate.dims:
        raise ObservationError(
            f"expected one forecast, found hindcasts of {rate.sizes[START]} starts: select one of them"
        )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
