"""A few members that stand for all: what may come, and how likely each of it is."""

import numpy as np
import scipy.cluster.hierarchy
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError
from ssldm.products.nowcast import fields_of
from ssldm.radar.observations import NAME

# Blocks a side that members are compared on, at most: scenarios differ in showers, not in pixels.
_BLOCKS = 32
# Rain rates are compared as the logarithm of so many mm/h and more.
_LEAST = 0.1


def scenarios(forecast: xr.Dataset, count: int) -> xr.Dataset:
    """Members clustered by their rain (Ward 1963), each cluster as its most central member.

    Compared are logarithms of mean rates over blocks of all lead times, where all is forecast.

    Args:
        forecast: a nowcast with rows and columns.
        count: number of scenarios, at most that of members.

    Returns:
        ``precipitation_rate (scenario, lead_time, y, x)``, the likeliest first, with the coordinates
        ``weight``, the share of the members that a scenario stands for, and ``member``, the one that is
        shown; and ``scenario_of_member (member_of_ensemble)``.

    Raises:
        ObservationError: the dataset is no nowcast with rows and columns.
        ConfigurationError: a count that is none.
    """
    rate = fields_of(forecast)
    members = rate.sizes["member"]
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= members:
        raise ConfigurationError(f"expected 1 to {members} scenarios, found {count!r:.80}")
    values = np.stack([_coarse(rate.isel(member=number).values) for number in range(members)])
    tree = scipy.cluster.hierarchy.ward(values) if members > 1 else None
    labels = (
        scipy.cluster.hierarchy.cut_tree(tree, n_clusters=int(count))[:, 0]
        if tree is not None
        else np.zeros(1, int)
    )
    sizes = np.bincount(labels)
    order = np.lexsort((np.arange(len(sizes)), -sizes))
    central = [_central(values, np.flatnonzero(labels == label)) for label in order]
    shown = rate.isel(member=central).rename(member="scenario")
    rank = np.argsort(order)
    numbers = rate["member"].values if "member" in rate.coords else np.arange(members)
    shown = shown.assign_coords(
        scenario=np.arange(1, len(order) + 1),
        weight=("scenario", sizes[order] / members, {"units": "1", "long_name": "share of the members"}),
        member=("scenario", numbers[central], {"long_name": "member that is shown"}),
    )
    return xr.Dataset(
        {NAME: shown, "scenario_of_member": ("member_of_ensemble", rank[labels] + 1)},
        coords={"member_of_ensemble": numbers},
    )


def _coarse(rate: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithms of mean rates over blocks of a member ``(t, h, w)``, as one row."""
    side = max(-(-max(rate.shape[1:]) // _BLOCKS), 1)
    rows, columns = (np.arange(0, length, side) for length in rate.shape[1:])
    known = np.isfinite(rate)
    total, number = (
        np.add.reduceat(np.add.reduceat(each, rows, axis=1), columns, axis=2)
        for each in (np.where(known, rate, 0.0).astype(np.float64), known.astype(np.float64))
    )
    return np.asarray(np.log(np.maximum(total / np.maximum(number, 1), _LEAST)).ravel())


def _central(values: NDArray[np.float64], numbers: NDArray[np.intp]) -> int:
    """The one of some members that is nearest to their mean."""
    away = ((values[numbers] - values[numbers].mean(axis=0)) ** 2).sum(axis=1)
    return int(numbers[int(away.argmin())])
