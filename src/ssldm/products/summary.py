"""An ensemble as one field: its mean, its quantiles, and a mean that is as uneven as its members."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.products.nowcast import (
    check_shares,
    described,
    field_by_field,
    fields_of,
    members_of,
    whole_along,
)


def ensemble_mean(forecast: xr.Dataset) -> xr.DataArray:
    """Mean of the members ``(lead_time, …)`` in mm/h.

    Raises:
        ObservationError: the dataset is no nowcast.
    """
    rate = members_of(forecast)
    methods = " ".join(filter(None, (rate.attrs.get("cell_methods"), "realization: mean")))
    return rate.mean("member", skipna=False).assign_attrs(rate.attrs | {"cell_methods": methods})


def quantile(values: xr.DataArray, probabilities: Any) -> xr.DataArray:
    """Quantiles of the members, linear between them (type 7 of Hyndman and Fan 1996).

    Args:
        values: of members, such as rates or amounts.
        probabilities: 0 to 1, one or several.

    Returns:
        ``(quantile, lead_time, …)``, without ``quantile`` for a single one; NaN where any member is.

    Raises:
        ConfigurationError: probabilities that are none.
    """
    asked = check_shares(probabilities, "probabilities")
    found: xr.DataArray = xr.apply_ufunc(
        lambda block: _quantiles(np.moveaxis(block, -1, 0), np.atleast_1d(asked)),
        whole_along(values, "member"),
        input_core_dims=[["member"]],
        output_core_dims=[["quantile"]],
        dask="parallelized",
        output_dtypes=[values.dtype],
        dask_gufunc_kwargs={"output_sizes": {"quantile": asked.size}},
    ).transpose("quantile", ...)
    found = found.assign_coords(quantile=np.atleast_1d(asked))
    if asked.ndim == 0:
        found = found.isel(quantile=0)
    methods = values.attrs.get("cell_methods")
    of = values.attrs.get("long_name", "rain rate")
    kept = {
        name: values.attrs[name]
        for name in ("units", "standard_name", "grid_mapping")
        if name in values.attrs
    }
    return found.assign_attrs(
        kept | {"long_name": f"quantile of the {of}"} | ({"cell_methods": methods} if methods else {})
    )


def _quantiles(members: NDArray[np.floating], probabilities: NDArray[np.float64]) -> NDArray[np.floating]:
    """Quantiles ``(…, q)`` of members ``(m, …)``; where all are alike, as in the dry, nothing is sorted."""
    low, high = members.min(axis=0), members.max(axis=0)
    found = np.repeat(low[..., None], len(probabilities), axis=-1)
    varied = low < high
    if varied.any():
        ordered = np.sort(members[:, varied].T, axis=-1)
        places = probabilities * (len(members) - 1)
        below = np.minimum(places.astype(np.int64), max(len(members) - 2, 0))
        share = (places - below).astype(members.dtype)
        first, second = ordered[:, below], ordered[:, below + 1]
        # From the nearer of the two, so that shares of 0 and 1 are exact.
        step = second - first
        found[varied] = np.where(share < 0.5, first + share * step, second - (1.0 - share) * step)
    return found


def probability_matched_mean(forecast: xr.Dataset) -> xr.DataArray:
    """The mean with the rates of the members ``(lead_time, y, x)`` in mm/h (Ebert 2001).

    At each lead time the rates of all members are sorted and every m-th is kept, of m members; where the mean
    is strongest stands the strongest of these, and so on. The mean tells where it rains, members how hard.

    Raises:
        ObservationError: the dataset is no nowcast with rows and columns.
    """
    rate = fields_of(forecast)
    matched = field_by_field(_matched, rate, rate.dtype)
    return described(
        matched.rename(rate.name),
        rate,
        units=str(rate.attrs.get("units", "mm h-1")),
        long_name="probability-matched mean of the rain rate",
    )


def _matched(rate: NDArray[np.float32]) -> NDArray[np.float32]:
    """One frame ``(y, x)`` of members ``(m, y, x)``."""
    mean = rate.mean(axis=0, dtype=np.float64)
    known = np.isfinite(mean)
    members = len(rate)
    kept = np.sort(rate[:, known], axis=None)[members // 2 :: members]
    found = np.full(mean.shape, np.nan, rate.dtype)
    # The mean's ties are kept in order, so that the result is the same everywhere.
    found[known] = kept[np.argsort(np.argsort(mean[known], kind="stable"), kind="stable")]
    return found
