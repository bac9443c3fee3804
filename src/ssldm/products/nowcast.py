"""What every product asks of a nowcast, and of the numbers that it is asked for with."""

from collections.abc import Callable
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.radar.observations import NAME


def members_of(forecast: xr.Dataset) -> xr.DataArray:
    """The rain rates of a nowcast, ``(member, lead_time, …)`` in mm/h.

    Raises:
        ObservationError: there are none, or this is no Dataset.
    """
    if not isinstance(forecast, xr.Dataset):
        raise ObservationError(f"expected a forecast as a Dataset, found {type(forecast).__name__}")
    if NAME not in forecast or not {"member", "lead_time"} <= set(forecast[NAME].dims):
        found = {name: data.dims for name, data in forecast.data_vars.items()}
        raise ObservationError(f"expected {NAME!r} with members and lead times, found {found}")
    return forecast[NAME]


def fields_of(forecast: xr.Dataset) -> xr.DataArray:
    """As `members_of`, of a nowcast with rows and columns.

    Raises:
        ObservationError: it has none.
    """
    rate = members_of(forecast)
    if not {"y", "x"} <= set(rate.dims):
        raise ObservationError(f"expected a nowcast with y and x, found {rate.dims}")
    return rate


def step_of(forecast: xr.Dataset) -> np.timedelta64:
    """Time between lead times; of a single one, the time until it.

    Raises:
        ObservationError: lead times that are not evenly spaced.
    """
    lead = forecast["lead_time"].values.astype("timedelta64[ns]")
    steps = np.unique(np.diff(lead)) if len(lead) > 1 else lead
    if len(steps) != 1 or steps[0] <= np.timedelta64(0, "ns"):
        raise ObservationError(f"expected evenly spaced lead times, found {_text(lead)}")
    return np.timedelta64(steps[0])


def check_threshold(value: object, unit: str = "mm/h") -> float:
    """A rain rate or amount that may be exceeded or not: at 0 or below the answer is always yes.

    Raises:
        ConfigurationError: no finite number above 0.
    """
    if isinstance(value, np.ndarray | xr.DataArray) and value.ndim == 0:
        value = value.item()
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else 0.0
    if not isfinite(number) or number <= 0.0:
        raise ConfigurationError(f"expected a threshold in {unit} above 0, found {value!r:.80}")
    return number


def check_period(period: Any, step: np.timedelta64) -> int:
    """Number of time steps in a period such as "60min".

    Raises:
        ConfigurationError: no period, or one that is no whole number of steps.
    """
    try:
        given = pd.Timedelta(period)
        count = given / pd.Timedelta(step)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"expected a period such as '60min', found {period!r:.80}") from error
    if not count >= 1 or count != round(count):
        raise ConfigurationError(
            f"expected a period of whole time steps of {pd.Timedelta(step) / pd.Timedelta('1min'):g} min, "
            f"found {period!r:.80}"
        )
    return round(count)


def check_shares(values: Any, what: str) -> np.ndarray:
    """Numbers from 0 to 1, as an array of no or one dimension.

    Raises:
        ConfigurationError: others.
    """
    try:
        shares = np.asarray(values, np.float64)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"expected {what} from 0 to 1, found {values!r:.80}") from error
    if shares.ndim > 1 or shares.size == 0 or not ((shares >= 0.0) & (shares <= 1.0)).all():
        raise ConfigurationError(f"expected {what} from 0 to 1, found {values!r:.80}")
    return shares


def whole_along(values: xr.DataArray, *dims: str) -> xr.DataArray:
    """With one chunk along some dimensions, where it has any."""
    return values.chunk(dict.fromkeys(dims, -1)) if values.chunks else values


def field_by_field(
    function: Callable[[NDArray[Any]], NDArray[np.float32]], values: xr.DataArray, dtype: DTypeLike
) -> xr.DataArray:
    """A function of members ``(m, y, x)`` to a field ``(y, x)``, at each lead time; lazy where values are."""
    fields: xr.DataArray = xr.apply_ufunc(
        function,
        whole_along(values, "member", "y", "x"),
        input_core_dims=[["member", "y", "x"]],
        output_core_dims=[["y", "x"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[dtype],
    )
    return fields


def described(product: xr.DataArray, of: xr.DataArray, **attributes: str) -> xr.DataArray:
    """A product with a description of its own: of what it was made from it keeps where that is alone."""
    place = {name: of.attrs[name] for name in ("grid_mapping",) if name in of.attrs}
    product.attrs = {**attributes, **place}
    return product


def _text(lead: np.ndarray) -> str:
    minutes = (lead / np.timedelta64(1, "m")).astype(float)
    return f"{', '.join(f'{each:g}' for each in minutes[:6])}{' …' if len(minutes) > 6 else ''} min"
