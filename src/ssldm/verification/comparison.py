"""Contestants on equal terms: the same observation, and the same pixels."""

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.verification.case import Case
from ssldm.verification.coverage import coverage_counts
from ssldm.verification.statistics import Protocol, statistics_of


def compare(
    forecasts: Mapping[str, NDArray[np.floating]],
    truth: xr.DataArray,
    protocol: Protocol,
    more: Callable[[Case], xr.Dataset] | None = None,
    groups: Mapping[str, NDArray[np.integer]] | None = None,
) -> dict[str, xr.Dataset]:
    """Statistics of each forecast of one observation, see `ssldm.verification.statistics`.

    A pixel counts where it is observed and every contestant has a forecast.

    Args:
        forecasts: members ``(m, t, h, w)`` in mm/h of each contestant, NaN where it has none.
        truth: ``(time, y, x)`` in mm/h, NaN unobserved.
        protocol: what to score.
        more: sums beside those of the protocol, such as `ssldm.verification.perceptual.Perceptual`.
        groups: of the members of contestants, see `ssldm.verification.case.Case`; those of others are
            independent.
    """
    valid = np.isfinite(truth.values)
    for members in forecasts.values():
        valid &= np.isfinite(members).all(axis=0)
    found = {}
    for name, members in forecasts.items():
        case = Case.of(members, truth.values, valid, (groups or {}).get(name))
        found[name] = statistics_of(case, protocol, _generator(truth)).assign(
            coverage=coverage_counts(members, truth.values, valid)
        )
        if more is not None:
            found[name] = found[name].merge(more(case))
    return found


def _generator(truth: xr.DataArray) -> np.random.Generator:
    """Random numbers of a window: the same in whatever order, and by whomever, windows are processed."""
    digest = hashlib.sha256(truth.values.tobytes() + truth["time"].values.tobytes()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
