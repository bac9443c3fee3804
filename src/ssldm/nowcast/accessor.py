"""`forecast.ssldm`: products of an ensemble, on the forecast itself."""

import xarray as xr

from ssldm.radar.observations import NAME


@xr.register_dataset_accessor("ssldm")
class NowcastAccessor:
    """Products of a nowcast; NaN stays NaN."""

    def __init__(self, forecast: xr.Dataset) -> None:
        self._rate = forecast[NAME]

    def mean(self) -> xr.DataArray:
        """Ensemble mean ``(lead_time, y, x)`` in mm/h."""
        with xr.set_options(keep_attrs=True):
            return self._rate.mean("member", skipna=False)

    def exceedance_probability(self, threshold: float) -> xr.DataArray:
        """Share of members ``(lead_time, y, x)`` with at least ``threshold`` mm/h, 0 to 1."""
        exceeds = (self._rate >= threshold).where(self._rate.notnull())
        probability = exceeds.mean("member", skipna=False).rename("exceedance_probability")
        mapping = {key: self._rate.attrs[key] for key in ("grid_mapping",) if key in self._rate.attrs}
        long_name = f"probability of a rain rate of at least {threshold:g} mm/h"
        return probability.assign_attrs(units="1", long_name=long_name, **mapping)
