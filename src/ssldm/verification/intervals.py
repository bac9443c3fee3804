"""Confidence intervals by a bootstrap over events, the same resampled events for every contestant."""

import warnings
from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError
from ssldm.verification.statistics import scores_of

RESAMPLES = 1000
LEVEL = 0.9
_LEAST_DEFINED = 0.95
ESTIMATES = ("value", "lower", "upper")
# Scores better than those of a reference: 1 - score / score of the reference.
SKILLS = {"crps": "crps_skill", "brier": "brier_skill"}


def scores_with_intervals(
    statistics: Mapping[str, xr.Dataset], *, reference: str | None = None, seed: int = 0
) -> dict[str, xr.Dataset]:
    """All scores of some contestants, with the interval that holds 90% of those of resampled events.

    Events are drawn with replacement, as many as there are; the sums of those drawn are added and scored.
    Skill is paired: contestant and reference are scored on the same drawn events.

    Args:
        statistics: sums of each contestant, with a dimension ``event``.
        reference: whose CRPS and Brier score the skill scores are relative to.
        seed: of the drawing.

    Returns:
        Scores of each contestant with a first dimension ``estimate`` (`ESTIMATES`); bounds are NaN where
        there are fewer than two events.

    Raises:
        ConfigurationError: a reference that is not among the contestants.
    """
    if reference is not None and reference not in statistics:
        raise ConfigurationError(f"expected a reference among {', '.join(statistics)}, found {reference}")
    samples = {name: _sampled_scores(part, seed) for name, part in statistics.items()}
    if reference is not None:
        base = samples[reference]
        for name, part in samples.items():
            skills = {
                skill: 1.0 - part[score] / base[score].where(base[score] > 0)
                for score, skill in SKILLS.items()
            }
            samples[name] = part.assign(skills)
    return {name: _interval(part) for name, part in samples.items()}


def _sampled_scores(statistics: xr.Dataset, seed: int) -> xr.Dataset:
    """Scores with a dimension ``sample``: first those of all events, then those of drawn events."""
    weights = _weights(statistics.sizes["event"], seed)
    flat = statistics.drop_vars("event", errors="ignore")
    sums = {name: _weighted(weights, values) for name, values in flat.data_vars.items()}
    return scores_of(flat.drop_dims("event").assign(sums))


def _weights(events: int, seed: int) -> NDArray[np.int64]:
    """How often each event counts, ``(sample, event)``."""
    everything = np.ones((1, events), np.int64)
    if events < 2:
        return everything
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(events, np.full(events, 1.0 / events), size=RESAMPLES)
    return np.concatenate([everything, drawn.astype(np.int64)])


def _weighted(weights: NDArray[np.int64], values: xr.DataArray) -> xr.DataArray:
    """Sums ``(sample, ...)`` of ``(event, ...)``; those of counts are exact."""
    first = values.transpose("event", ...)
    summed = np.tensordot(weights, first.values, axes=1)
    return xr.DataArray(
        summed, dims=("sample", *first.dims[1:]), coords=first.drop_vars("event", errors="ignore").coords
    )


def _interval(samples: xr.Dataset) -> xr.Dataset:
    value = samples.isel(sample=0)
    drawn = samples.isel(sample=slice(1, None))
    if drawn.sizes["sample"]:
        tail = 0.5 * (1.0 - LEVEL)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice")  # of a score that no sample has
            quantiles = [drawn.quantile(q, "sample", method="nearest") for q in (tail, 1.0 - tail)]
        # Where a score is often undefined (no heavy rain in the drawn events) its interval would be that of
        # the events that have it.
        defined = drawn.notnull().mean("sample") >= _LEAST_DEFINED
        bounds = [bound.drop_vars("quantile").where(defined) for bound in quantiles]
    else:
        bounds = [xr.full_like(value, np.nan)] * 2
    names = xr.DataArray(list(ESTIMATES), dims="estimate", name="estimate")
    return xr.concat([value, *bounds], dim=names)
