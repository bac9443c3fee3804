"""`forecast.ssldm`: products of an ensemble, on the forecast itself."""

import xarray as xr

from ssldm.errors import ObservationError
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
        """
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
        ObservationError: there are none.
    """
    if NAME not in forecast or not {"member", "lead_time"} <= set(forecast[NAME].dims):
        found = {name: data.dims for name, data in forecast.data_vars.items()}
        raise ObservationError(f"expected {NAME!r} with members and lead times, found {found}")
    return forecast[NAME]
