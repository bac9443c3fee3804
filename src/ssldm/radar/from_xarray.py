"""An xarray object with CF attributes as observations."""

from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.axes import is_eastward, placement
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.grid import GRID_MAPPING
from ssldm.radar.observations import ATTRIBUTES, NAME, check_observations
from ssldm.radar.rates import rates_of
from ssldm.radar.times import utc_times
from ssldm.radar.units import quantity_of

_RATE = {
    "rainfall_rate",
    "rainfall_flux",
    "precipitation_flux",
    "lwe_precipitation_rate",
    "precipitation_rate",
}
_AMOUNT = {
    "precipitation_amount",
    "rainfall_amount",
    "lwe_thickness_of_precipitation_amount",
    "thickness_of_rainfall_amount",
}
_REFLECTIVITY = {"equivalent_reflectivity_factor"}
_NAMES = {"rr", "mmh", "rain_rate", "tprate", "prate", "precipitation", "tp", "dbz", "rare", "reflectivity"}
_STRUCTURE = {
    "units",
    "standard_name",
    "long_name",
    "grid_mapping",
    "coordinates",
    "cell_methods",
    "comment",
    "valid_range",
    "valid_min",
    "valid_max",
    "_FillValue",
}


def find_variable(dataset: xr.Dataset) -> xr.DataArray:
    """The rain in a dataset: a rate rather than an amount, an amount rather than a reflectivity.

    Raises:
        ObservationError: none of them is there.
    """
    grids = {name: data for name, data in dataset.data_vars.items() if data.ndim >= 2}
    for names in (_RATE, _AMOUNT, _REFLECTIVITY):
        for data in grids.values():
            if data.attrs.get("standard_name") in names:
                return data
    for name, data in grids.items():
        if str(name).lower() in _NAMES | _RATE | _AMOUNT | _REFLECTIVITY:
            return data
    raise ObservationError(
        "expected a rain rate, an amount of precipitation or a reflectivity by its CF standard name, "
        f"found {', '.join(map(str, dataset.variables)) or 'no variables'}"
    )


def observations_of(source: xr.DataArray | xr.Dataset, options: ReadOptions) -> xr.DataArray:
    """An xarray object as observations; an array is taken by its units, whatever its name.

    Raises:
        ObservationError: no rain in it, unknown units, or no time, grid or accumulation period.
    """
    if isinstance(source, xr.DataArray):
        name = source.name if source.name is not None and source.name not in source.coords else NAME
        dataset = source.to_dataset(name=name)
        data = dataset[name]
        if quantity_of(str(data.attrs.get("units", ""))) is None:
            raise ObservationError(
                f"expected units of a rate (mm h-1), an amount (mm) or reflectivity (dBZ), "
                f"found {data.attrs.get('units')!r}"
            )
    else:
        dataset, data = source, find_variable(source)
    data, times = _with_time(data, dataset)
    data = data.transpose(times.dims[0], ...)
    if data.ndim != 3:
        raise ObservationError(f"expected dimensions of time, y and x, found {data.dims}")
    y, x = map(str, data.dims[1:])
    if is_eastward(dataset, y):
        data, y, x = data.transpose(times.dims[0], x, y), x, y
    found = rates_of(data, dataset, times, options)
    place = placement(data, dataset, y, x)
    when = utc_times(times.to_index())
    order = np.argsort(when, kind="stable")
    rate = found.rate.isel({y: place.rows, x: place.columns})
    if (order[1:] < order[:-1]).any():
        rate, when = rate.isel({str(times.dims[0]): order}), when[order]
    attributes = _attributes(data, dataset)
    if found.relation is not None:
        attributes |= {"zr_a": found.relation.a, "zr_b": found.relation.b}
    if found.minutes is not None:
        attributes["accumulation_minutes"] = found.minutes
    if found.cell_methods is not None:
        attributes["cell_methods"] = found.cell_methods
    if place.grid.crs is not None:
        attributes["grid_mapping"] = GRID_MAPPING
    return check_observations(
        xr.DataArray(
            rate.variable.data if rate.chunks else rate.variable,
            dims=("time", "y", "x"),
            coords={"time": ("time", when, {"standard_name": "time"}), **place.grid.coordinates()},
            name=NAME,
            attrs={**ATTRIBUTES, **attributes},
        )
    )


def _attributes(data: xr.DataArray, dataset: xr.Dataset) -> dict[str, Any]:
    kept = ("institution", "license", "mlcast_dataset_identifier")
    known = {name: dataset.attrs[name] for name in kept if name in dataset.attrs}
    known["product"] = dataset.attrs.get("title") or dataset.attrs.get("source") or str(data.name)
    return known | {name: value for name, value in data.attrs.items() if name not in _STRUCTURE}


def _with_time(data: xr.DataArray, dataset: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """The data with a dimension of time, and its times.

    Raises:
        ObservationError: no coordinate of time.
    """
    for name in (*data.coords, *dataset.variables):
        candidate = dataset[name]
        if candidate.attrs.get("standard_name") != "time" and name != "time":
            continue
        if candidate.ndim == 0:
            return data.expand_dims("time"), candidate.expand_dims("time")
        if candidate.ndim == 1 and candidate.dims[0] in data.dims:
            return data, candidate
    raise ObservationError("expected a coordinate of time, found none")
