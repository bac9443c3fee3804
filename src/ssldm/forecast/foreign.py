"""Forecasts of others as nowcasts: CF files with a rain rate by member and time, such as those of pysteps."""

import numpy as np
import pandas as pd
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.forecast.dataset import nowcast_dataset
from ssldm.radar.open import open_radar
from ssldm.radar.units import quantity_of

# What others call the dimension of members, where no standard name says so.
_MEMBERS = ("member", "ens_number", "realization", "number", "ensemble")


def from_others(dataset: xr.Dataset) -> xr.Dataset:
    """The nowcast that a dataset holds under other names.

    Its times are those that frames are for, and what they are counted from is the reference time ("seconds
    since 2010-08-26 00:00", as pysteps writes). Without a dimension of members it has one.

    Args:
        dataset: opened with its times and all coordinates decoded.

    Raises:
        ObservationError: no rain rate by time, or times that are no forecast's.
    """
    data = _rain_by_time(dataset)
    dim = next((name for name in data.dims if _counts_members(dataset, str(name))), None)
    members = [data] if dim is None else [data.isel({dim: k}, drop=True) for k in range(data.sizes[dim])]
    fields = [open_radar(member) for member in members]
    start, step = _start_and_step(data["time"])
    last = fields[0].isel(time=[0]).assign_coords(time=[start])
    forecast = nowcast_dataset(
        np.stack([field.values for field in fields]),
        last,
        step,
        source=str(dataset.attrs.get("source", "unknown source")),
        seed=0,
        settings="from a forecast of others",
    )
    names = ("title", "institution", "history", "references")
    own = {name: str(dataset.attrs[name]) for name in names if dataset.attrs.get(name)}
    of_ours = {name: forecast.attrs[name] for name in ("Conventions", "source", "observations")}
    forecast.attrs = of_ours | own
    return forecast


def _rain_by_time(dataset: xr.Dataset) -> xr.DataArray:
    for data in dataset.data_vars.values():
        quantity = quantity_of(str(data.attrs.get("units", "")))
        if "time" in data.dims and data.ndim >= 3 and quantity is not None and quantity.kind == "rate":
            return data
    raise ObservationError(
        f"expected a rain rate by time, found {', '.join(map(str, dataset.data_vars)) or 'nothing'}"
    )


def _counts_members(dataset: xr.Dataset, name: str) -> bool:
    said = dataset[name].attrs.get("standard_name") if name in dataset.coords else None
    return said == "realization" or name in _MEMBERS


def _start_and_step(time: xr.DataArray) -> tuple[np.datetime64, np.timedelta64]:
    """What times are counted from, and how far apart they are.

    Raises:
        ObservationError: times that are not evenly spaced, beginning a step after what they are counted from.
    """
    _, since, origin = str(time.encoding.get("units", "")).partition(" since ")
    try:
        start = np.datetime64(pd.Timestamp(origin).tz_localize(None), "ns") if since else None
    except ValueError:
        start = None
    if start is not None and time.size:
        step = time.values[0] - start
        if step > np.timedelta64(0, "ns") and (np.diff(time.values) == step).all():
            return start, np.timedelta64(step)
    raise ObservationError(
        "expected times of a forecast, evenly spaced from the time that they are counted from, "
        f"found {', '.join(np.datetime_as_string(time.values[:3], unit='m'))} in "
        f"{time.encoding.get('units', 'no units')}"
    )
