"""How likely rain of some strength is, at a place or around it."""

from typing import Any

import numpy as np
import scipy.signal
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.products.amounts import accumulation
from ssldm.products.nowcast import check_threshold, described, field_by_field, fields_of, members_of

ANYWHERE, MEAN = "anywhere", "mean"


def exceedance_probability(
    forecast: xr.Dataset,
    threshold: float,
    *,
    period: Any = None,
    neighbourhood: float | None = None,
    within: str = MEAN,
    observations: xr.DataArray | None = None,
    least_share: float = 1.0,
) -> xr.DataArray:
    """Share of the members ``(lead_time, …)`` with at least so much rain, 0 to 1.

    Args:
        forecast: a nowcast.
        threshold: a rate in mm/h, or with a period an amount in mm.
        period: see `ssldm.products.amounts.accumulation`, likewise observations and least_share.
        neighbourhood: radius in metres of a disc around each pixel, of the pixels whose centres lie in it.
            Those that are not forecast are left out of it; where the pixel itself is not, the result is NaN.
        within: of a neighbourhood, "mean" for the share of members and pixels together (Theis et al. 2005),
            "anywhere" for the share of members that exceed it at any pixel (Schwartz and Sobash 2017).
        observations: joined in front of the forecast, for amounts.
        least_share: of a period.

    Raises:
        ObservationError: the dataset is no nowcast.
        ConfigurationError: a threshold that is no finite number above 0, an odd neighbourhood or period.
    """
    if within not in (MEAN, ANYWHERE):
        raise ConfigurationError(f"expected within={MEAN!r} or {ANYWHERE!r}, found {within!r:.80}")
    if period is None:
        least, values = check_threshold(threshold), members_of(forecast)
        of = f"a rain rate of at least {least:g} mm/h"
    else:
        least = check_threshold(threshold, "mm")
        values = accumulation(forecast, period, observations=observations, least_share=least_share)
        of = f"at least {least:g} mm of {values.attrs['long_name']}"
    if neighbourhood is None:
        return _described(_share(values, least), values, of)
    fields_of(forecast)
    exceeds = (values >= least).where(values.notnull())
    probability = _around(exceeds, _disc(values, neighbourhood), within)
    of += f", {'anywhere' if within == ANYWHERE else 'on average'} within {neighbourhood:g} m"
    return _described(probability, values, of)


def amount_probability(amounts: xr.DataArray, threshold: float) -> xr.DataArray:
    """As `exceedance_probability` with a period, of amounts that are there already.

    Args:
        amounts: of `ssldm.products.amounts.accumulation`.
        threshold: in mm.

    Raises:
        ConfigurationError: a threshold that is no finite number above 0.
    """
    least = check_threshold(threshold, "mm")
    return _described(
        _share(amounts, least), amounts, f"at least {least:g} mm of {amounts.attrs['long_name']}"
    )


def _share(values: xr.DataArray, least: float) -> xr.DataArray:
    known = values.notnull().all("member")
    share = ((values >= least).sum("member") / np.float32(values.sizes["member"])).where(known)
    return share.astype(np.float32)


def _described(probability: xr.DataArray, values: xr.DataArray, of: str) -> xr.DataArray:
    return described(
        probability.rename("exceedance_probability"), values, units="1", long_name=f"probability of {of}"
    )


def _around(exceeds: xr.DataArray, disc: NDArray[np.float32], within: str) -> xr.DataArray:
    def field(members: NDArray[np.floating]) -> NDArray[np.float32]:
        known = np.isfinite(members)
        count, wet = (
            np.rint(scipy.signal.oaconvolve(each, disc[None], mode="same", axes=(-2, -1)))
            for each in (known.astype(np.float32), np.where(known, members, 0.0).astype(np.float32))
        )
        if within == ANYWHERE:
            share = (wet > 0).mean(axis=0)
        else:
            share = wet.sum(axis=0) / np.maximum(count.sum(axis=0), 1.0)
        return np.where(known.all(axis=0), share, np.nan).astype(np.float32)

    return field_by_field(field, exceeds, np.float32)


def _disc(values: xr.DataArray, radius: Any) -> NDArray[np.float32]:
    """1 for pixels whose centre is at most so many metres away, ``(2n + 1, 2m + 1)``."""
    try:
        metres = float(radius)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"expected a radius in metres, found {radius!r:.80}") from error
    if not 0.0 <= metres < np.inf:
        raise ConfigurationError(f"expected a radius in metres from 0, found {radius!r:.80}")
    if "y" not in values.coords or "x" not in values.coords or min(values.sizes["y"], values.sizes["x"]) < 2:
        raise ObservationError("expected a grid of two rows and columns at least in metres")
    height, width = (abs(float(values[name][1] - values[name][0])) for name in ("y", "x"))
    rows, columns = (int(metres / side + 1e-9) for side in (height, width))
    y, x = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    return np.asarray(np.hypot(y * height, x * width) <= metres * (1.0 + 1e-9), np.float32)
