"""Which members of a forecast are independent of each other, and which are not."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError

PAIR = "noise_pair"
"""The coordinate that says so: members of one number were drawn with opposite noise."""


def groups_of(forecast: xr.Dataset) -> NDArray[np.int64]:
    """The group ``(m,)`` of each member, in the order of the members, see `ssldm.verification.case.Case`.

    Args:
        forecast: with the dimension ``member`` and, where members are not all independent, the coordinate
            ``noise_pair (member)``.

    Raises:
        ObservationError: a coordinate that is not one whole number a member.
    """
    if PAIR not in forecast.variables:
        return np.arange(forecast.sizes["member"])
    pairs = forecast[PAIR]
    if pairs.dims != ("member",):
        raise ObservationError(f"expected {PAIR} (member), found dimensions {pairs.dims}")
    if not np.issubdtype(pairs.dtype, np.number) or not np.array_equal(pairs, np.floor(pairs)):
        raise ObservationError(f"expected whole numbers as {PAIR}, found {pairs.values}")
    return np.asarray(np.unique(pairs.values, return_inverse=True)[1], np.int64)
