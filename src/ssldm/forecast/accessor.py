"""`forecast.ssldm`: products of an ensemble, on the forecast itself."""

from math import isfinite
from numbers import Real

import numpy as np
import xarray as xr

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.radar.observations import NAME


@xr.register_dataset_accessor("ssldm")
class NowcastAccessor:
    """Products of a nowcast; NaN stays NaN."""

    def __init__(self, forecast: xr.Dataset) -> None:
        self._forecast = forecast

    def mean(self) -> xr.DataArray:
        """Ensemble mean ``(lead_time, y, x)`` in mm/h.

        Raises:
            ObservationError: the dataset is no nowcast.
        """
        rate = self._members()
        methods = " ".join(filter(None, (rate.attrs.get("cell_methods"), "member: mean")))
        return rate.mean("member", skipna=False).assign_attrs(rate.attrs | {"cell_methods": methods})

    def exceedance_probability(self, threshold: float) -> xr.DataArray:
        """Share of members ``(lead_time, y, x)`` with at least ``threshold`` mm/h, 0 to 1.

        Raises:
            ObservationError: the dataset is no nowcast.
            ConfigurationError: a threshold that is no finite number above 0.
        """
        threshold = check_threshold(threshold)
        rate = self._members()
        exceeds = (rate >= threshold).where(rate.notnull())
        probability = exceeds.mean("member", skipna=False).rename("exceedance_probability")
        # Nothing that describes a rate describes its probability, but for where it is.
        place = {name: rate.attrs[name] for name in ("grid_mapping",) if name in rate.attrs}
        probability.attrs = {
            "units": "1",
            "long_name": f"probability of a rain rate of at least {threshold:g} mm/h",
            **place,
        }
        return probability

    def _members(self) -> xr.DataArray:
        return members_of(self._forecast)


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


def check_threshold(value: object) -> float:
    """A rain rate in mm/h that may be exceeded or not: at 0 or below the answer is always yes.

    Raises:
        ConfigurationError: no finite number above 0.
    """
    if isinstance(value, np.ndarray | xr.DataArray) and value.ndim == 0:
        value = value.item()
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else 0.0
    if not isfinite(number) or number <= 0.0:
        raise ConfigurationError(f"expected a threshold in mm/h above 0, found {value!r:.80}")
    return number
