"""The forecast as a CF dataset, in memory and on disk."""

from collections.abc import Hashable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.atomic import replacing
from ssldm.errors import ObservationError
from ssldm.nowcast import accessor  # noqa: F401  # registers `forecast.ssldm`
from ssldm.radar.grid import GRID_MAPPING, latitude_longitude
from ssldm.radar.observations import ATTRIBUTES, NAME

_TIME = {"units_metadata": "leap_seconds: none"}


def nowcast_dataset(
    rate: NDArray[np.float32],
    observations: xr.DataArray,
    step: np.timedelta64,
    *,
    source: str,
    seed: int,
    settings: str,
) -> xr.Dataset:
    """A forecast as a dataset with CF conventions.

    Args:
        rate: ``(member, lead_time, y, x)`` in mm/h, NaN where no forecast can be made.
        observations: what it started from; gives grid and reference time.
        step: time between lead frames.
        source: model identifier and hash of its weights.
        seed: of the ensemble.
        settings: the command that makes such a forecast, for `history`.
    """
    start = observations["time"].values[-1].astype("datetime64[ns]")
    lead = (np.arange(1, rate.shape[1] + 1) * step).astype("timedelta64[ns]")
    grid = {
        name: observations.coords[name] for name in ("y", "x", GRID_MAPPING) if name in observations.coords
    }
    mapping = {"grid_mapping": GRID_MAPPING} if GRID_MAPPING in grid else {}
    place = {"place": observations.attrs["place"]} if "place" in observations.attrs else {}
    return xr.Dataset(
        {NAME: (("member", "lead_time", "y", "x"), rate, {**ATTRIBUTES, **mapping})},
        coords={
            "member": (
                "member",
                np.arange(rate.shape[0], dtype=np.int32),
                {"standard_name": "realization", "long_name": "ensemble member", "units": "1"},
            ),
            "lead_time": (
                "lead_time",
                lead,
                {"standard_name": "forecast_period", "long_name": "time since the last observation"},
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
            "history": f"ssldm {version('ssldm')} {settings}",
            "references": "https://doi.org/10.1109/tgrs.2024.3444789",
            "observations": observations.attrs.get("product", "unknown"),
            **place,
            "seed": seed,
        },
    )


def write_nowcast(dataset: xr.Dataset, path: Path) -> None:
    """Write a forecast as NetCDF-4, aside and then renamed; with ``lat``, ``lon`` where georeferenced."""
    with_positions = dataset.assign_coords(latitude_longitude(dataset))
    since = "seconds since 1970-01-01T00:00:00Z"
    encoding: dict[Hashable, dict[str, Any]] = {
        NAME: {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": np.float32(np.nan)},
        "lead_time": {"units": "minutes", "dtype": "float64", "_FillValue": None},
        "valid_time": {"units": since, "calendar": "standard", "dtype": "int64"},
        "forecast_reference_time": {"units": since, "calendar": "standard", "dtype": "int64"},
        "x": {"_FillValue": None},
        "y": {"_FillValue": None},
    }
    for name in ("lat", "lon"):
        if name in with_positions.coords:
            encoding[name] = {"zlib": True, "complevel": 1, "_FillValue": None}
    with replacing(path) as aside:
        with_positions.to_netcdf(aside, engine="h5netcdf", encoding=encoding)


def open_nowcast(path: Path) -> xr.Dataset:
    """A forecast that `write_nowcast` wrote.

    Raises:
        ObservationError: no such file, or something else.
    """
    try:
        dataset = xr.open_dataset(path, engine="h5netcdf", decode_timedelta=True)
    except (OSError, ValueError) as error:
        raise ObservationError(
            f"{path}: expected a nowcast in NetCDF ({str(error).splitlines()[0]})"
        ) from error
    if NAME not in dataset or "member" not in dataset[NAME].dims:
        raise ObservationError(
            f"{path}: expected {NAME!r} with members, found {sorted(map(str, dataset.data_vars))}"
        )
    return dataset
