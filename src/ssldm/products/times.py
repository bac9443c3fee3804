"""When rain comes, and when it ends."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.products.nowcast import check_shares, check_threshold, described, members_of

_NEVER = np.iinfo(np.int64).max
_NAT = np.timedelta64("NaT")


def arrival_time(
    forecast: xr.Dataset, threshold: float, *, probabilities: Any = (0.1, 0.5, 0.9)
) -> xr.Dataset:
    """When rain of some strength comes, and when it is over.

    A member's rain comes at the first lead time with at least the threshold; it is over at the first lead
    time from which on it stays below, which is not known where it rains at the last one. Of many members the
    time for a probability p is the first by which a share p of them has got so far: later than any that is
    forecast, NaT, where less than that do.

    Args:
        forecast: a nowcast.
        threshold: in mm/h.
        probabilities: 0 to 1, one or several.

    Returns:
        ``arrival_time`` and ``end_time (probability, …)``, time since the last observation; the end is that
        of those members in which rain comes. ``arrival_probability (…)``, the share of these. NaT and NaN
        where any frame of any member is not forecast.

    Raises:
        ObservationError: the dataset is no nowcast.
        ConfigurationError: a threshold that is no finite number above 0, or odd probabilities.
    """
    least = check_threshold(threshold)
    asked = np.atleast_1d(check_shares(probabilities, "probabilities"))
    rate = members_of(forecast)
    lead = rate["lead_time"].values.astype("timedelta64[ns]").astype(np.int64)
    space = [name for name in rate.dims if name not in ("member", "lead_time")]
    values = rate.transpose(*space, "member", "lead_time")
    if values.chunks:
        values = values.chunk({"member": -1, "lead_time": -1})
    share, arrival, end = xr.apply_ufunc(
        lambda block: _times(block >= least, ~np.isnan(block).any(axis=(-2, -1)), lead, asked),
        values,
        input_core_dims=[["member", "lead_time"]],
        output_core_dims=[[], ["probability"], ["probability"]],
        dask="parallelized",
        output_dtypes=[np.float32, "timedelta64[ns]", "timedelta64[ns]"],
        dask_gufunc_kwargs={"output_sizes": {"probability": len(asked)}},
    )
    strength = f"at least {least:g} mm/h"
    found = xr.Dataset(
        {
            "arrival_time": described(
                arrival.transpose("probability", *space), rate, long_name=f"time by which {strength} has come"
            ),
            "end_time": described(
                end.transpose("probability", *space),
                rate,
                long_name=f"time from which on there is not {strength}",
            ),
            "arrival_probability": described(
                share, rate, units="1", long_name=f"probability that {strength} comes"
            ),
        },
        coords={"probability": asked},
    )
    return found.drop_vars([name for name in ("lead_time", "member") if name in found.coords])


def _times(
    wet: NDArray[np.bool_],
    known: NDArray[np.bool_],
    lead: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.timedelta64], NDArray[np.timedelta64]]:
    """Share of members with rain, and times ``(…, p)`` of its arrival and end.

    Args:
        wet: ``(…, m, t)``
        known: ``(…)``
        lead: ``(t,)`` in nanoseconds.
        probabilities: ``(p,)``
    """
    comes = wet.any(axis=-1)
    first = np.where(comes, lead[wet.argmax(axis=-1)], _NEVER)
    # Dry from the lead time after the last wet one on; after the last lead time it is not known.
    after = np.append(lead[1:], _NEVER)
    end = after[wet.shape[-1] - 1 - wet[..., ::-1].argmax(axis=-1)]
    members = np.full(comes.shape[:-1], comes.shape[-1])
    arriving = comes.sum(axis=-1)
    arrival = _by(np.sort(first, axis=-1), members, probabilities)
    over = _by(np.sort(np.where(comes, end, _NEVER), axis=-1), arriving, probabilities)
    share = np.where(known, arriving / comes.shape[-1], np.nan).astype(np.float32)
    unknown = ~known[..., None]
    arrival[np.broadcast_to(unknown, arrival.shape)] = over[np.broadcast_to(unknown, over.shape)] = _NAT
    return share, arrival, over


def _by(
    times: NDArray[np.int64], count: NDArray[np.integer], probabilities: NDArray[np.float64]
) -> NDArray[np.timedelta64]:
    """Of sorted times ``(…, m)``, of which so many count, those by which shares of these are through."""
    # At least one member, also for a probability of 0.
    through = np.maximum(np.ceil(count[..., None] * probabilities - 1e-9).astype(np.int64), 1)
    found = np.take_along_axis(times, through - 1, axis=-1)
    return np.where((found == _NEVER) | (count[..., None] == 0), _NAT, found.astype("timedelta64[ns]"))
