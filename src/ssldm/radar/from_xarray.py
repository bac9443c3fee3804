"""An xarray object with CF attributes as observations."""

from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError, SsldmError
from ssldm.radar.axes import in_order, placement
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.grid import GRID_MAPPING
from ssldm.radar.observations import ATTRIBUTES, NAME, check_observations
from ssldm.radar.rates import quantity_in, rates_of
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
_STANDARD_NAMES = {"rate": _RATE, "amount": _AMOUNT, "reflectivity": _REFLECTIVITY}
_NAMES = {
    "rr", "mmh", "rain_rate", "rainrate", "rate", "tprate", "prate", "precip", "precipitation", "tp", "acrr",
    "dbz", "dbzh", "rare", "reflectivity", "precipitationcal", *_RATE, *_AMOUNT, *_REFLECTIVITY,
}  # fmt: skip
# What leaves an array in memory as it is packed in a file.
_PACKING = {"scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned"}
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

    Of each, one with a CF standard name rather than one with a usual name.

    Raises:
        ObservationError: none of them is there, or several alike.
    """
    grids = [data for data in dataset.data_vars.values() if data.ndim >= 2]
    for kind, standard_names in _STANDARD_NAMES.items():
        standard = [data for data in grids if data.attrs.get("standard_name") in standard_names]
        usual = [
            data
            for data in grids
            if "standard_name" not in data.attrs and str(data.name).lower() in _NAMES and _kind(data) == kind
        ]
        found = standard or usual
        if len(found) > 1:
            names = ", ".join(str(data.name) for data in found)
            raise ObservationError(
                f"expected one {kind} of rain, found {names}: give the array that is meant"
            )
        if found:
            return found[0]
    for data in grids:  # with units of something else, which will be named
        if "standard_name" not in data.attrs and str(data.name).lower() in _NAMES:
            return data
    raise ObservationError(
        "expected a rain rate, an amount of precipitation or a reflectivity by its CF standard name, "
        f"found {', '.join(map(str, dataset.variables)) or 'no variables'}"
    )


def _kind(data: xr.DataArray) -> str | None:
    quantity = quantity_of(str(data.attrs.get("units", "")))
    return None if quantity is None else quantity.kind


def observations_of(source: xr.DataArray | xr.Dataset, options: ReadOptions) -> xr.DataArray:
    """An xarray object as observations; an array is taken by its units, whatever its name.

    What is still packed as in a file (``scale_factor``, ``_FillValue``, … among the attributes) is unpacked.

    Raises:
        ObservationError: no rain in it, unknown units, or no time, grid or accumulation period.
    """
    try:
        return _observations_of(source, options)
    except SsldmError:
        raise
    except Exception as error:  # of attributes that are none, and xarray's own
        raise ObservationError(
            f"expected rain by time, y and x with CF attributes ({type(error).__name__}: {error})"
        ) from error


def _rain_in(source: xr.DataArray | xr.Dataset) -> tuple[xr.DataArray, xr.Dataset]:
    """The rain, unpacked, and the dataset that its coordinates are in."""
    name: Any = None
    if isinstance(source, xr.DataArray):
        name = NAME if source.name is None or source.name in source.coords else source.name
        dataset = source.to_dataset(name=name)
    else:
        dataset = source
    if any(_PACKING & set(each.attrs) for each in dataset.data_vars.values()):
        dataset = xr.decode_cf(dataset)
    data = find_variable(dataset) if name is None else dataset[name]
    standard_name = str(data.attrs.get("standard_name", ""))
    if standard_name and not any(standard_name in names for names in _STANDARD_NAMES.values()):
        raise ObservationError(f"expected rain or reflectivity, found {data.name!r} of {standard_name}")
    quantity_in(data)  # before what else may be wrong
    return data, dataset


def _observations_of(source: xr.DataArray | xr.Dataset, options: ReadOptions) -> xr.DataArray:
    data, dataset = _rain_in(source)
    data, times = _with_time(data, dataset)
    others = [dim for dim in data.dims if dim != times.dims[0]]
    if len(others) > 2:  # a level, a band, a member, of which there is one
        data = data.squeeze([dim for dim in others if data.sizes[dim] == 1][: len(others) - 2])
    if data.ndim != 3:
        raise ObservationError(f"expected dimensions of time, y and x, found {data.dims}")
    y, x = in_order(dataset, *(str(dim) for dim in data.dims if dim != times.dims[0]))
    data = data.transpose(times.dims[0], y, x)
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

    Times are those of a dimension of the data, else others along one, else one time of all; not the time
    that a forecast starts from.

    Raises:
        ObservationError: no coordinate of time.
    """
    known = [dataset[name] for name in dict.fromkeys((*data.coords, *dataset.variables))]
    known = [each for each in known if each.attrs.get("standard_name") != "forecast_reference_time"]
    along = [each for each in known if each.ndim == 1 and each.dims[0] in data.dims]
    own = [each for each in along if each.name == each.dims[0] and _is_time(each)]
    candidates = own or [each for each in along if _is_named_time(each)]
    if candidates:
        return data, candidates[0]
    single = [each for each in known if each.ndim == 0 and _is_named_time(each)]
    single.sort(key=lambda each: each.name != "time")
    if single and "time" not in data.dims:
        time = single[0].reset_coords(drop=True).rename("time").expand_dims("time")
        return data.drop_vars("time", errors="ignore").expand_dims("time"), time
    raise ObservationError("expected a coordinate of time, found none")


def _is_time(coordinate: xr.DataArray) -> bool:
    return (
        _is_named_time(coordinate)
        or np.issubdtype(coordinate.dtype, np.datetime64)
        or str(coordinate.attrs.get("axis", "")).upper() == "T"
    )


def _is_named_time(coordinate: xr.DataArray) -> bool:
    standard_name = coordinate.attrs.get("standard_name")
    return standard_name == "time" if standard_name else coordinate.name in {"time", "valid_time"}
