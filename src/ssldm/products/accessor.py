"""`forecast.ssldm`: products of an ensemble, on the forecast itself.

What a product needs is imported when it is asked for: this comes with every import of xarray.
"""

from typing import Any

import xarray as xr


@xr.register_dataset_accessor("ssldm")
class NowcastAccessor:
    """Products of a nowcast; NaN stays NaN. Lazy where the nowcast is, but for scenarios."""

    def __init__(self, forecast: xr.Dataset) -> None:
        self._forecast = forecast

    def mean(self) -> xr.DataArray:
        """See `ssldm.products.summary.ensemble_mean`."""
        from ssldm.products import summary

        return summary.ensemble_mean(self._forecast)

    def quantile(self, probabilities: Any, *, period: Any = None, **options: Any) -> xr.DataArray:
        """Quantiles of the rate in mm/h, or with a period of the amount in mm.

        See `ssldm.products.summary.quantile`, and for options `ssldm.products.amounts.accumulation`.
        """
        from ssldm.products import summary
        from ssldm.products.nowcast import members_of

        of = members_of(self._forecast) if period is None else self.accumulation(period, **options)
        return summary.quantile(of, probabilities)

    def probability_matched_mean(self) -> xr.DataArray:
        """See `ssldm.products.summary.probability_matched_mean`."""
        from ssldm.products import summary

        return summary.probability_matched_mean(self._forecast)

    def exceedance_probability(self, threshold: float, **options: Any) -> xr.DataArray:
        """See `ssldm.products.probability.exceedance_probability`."""
        from ssldm.products import probability

        return probability.exceedance_probability(self._forecast, threshold, **options)

    def accumulation(self, period: Any, **options: Any) -> xr.DataArray:
        """See `ssldm.products.amounts.accumulation`."""
        from ssldm.products import amounts

        return amounts.accumulation(self._forecast, period, **options)

    def joined(self, observations: xr.DataArray) -> xr.Dataset:
        """See `ssldm.products.amounts.joined`."""
        from ssldm.products import amounts

        return amounts.joined(self._forecast, observations)

    def arrival_time(self, threshold: float, **options: Any) -> xr.Dataset:
        """See `ssldm.products.times.arrival_time`."""
        from ssldm.products import times

        return times.arrival_time(self._forecast, threshold, **options)

    def at(self, **place: Any) -> xr.Dataset:
        """See `ssldm.products.places.at`."""
        from ssldm.products import places

        return places.at(self._forecast, **place)

    def over(self, polygons: Any, **options: Any) -> xr.Dataset:
        """See `ssldm.products.places.over`."""
        from ssldm.products import places

        return places.over(self._forecast, polygons, **options)

    def scenarios(self, count: int) -> xr.Dataset:
        """See `ssldm.products.scenarios.scenarios`."""
        from ssldm.products import scenarios

        return scenarios.scenarios(self._forecast, count)
