"""Scores of some contestants: as datasets by lead time, and as one tidy table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from ssldm.verification.intervals import scores_with_intervals

COLUMNS = (
    "contestant",
    "lead_frame",
    "metric",
    "threshold",
    "threshold_name",
    "scale",
    "bin",
    "value",
    "lower",
    "upper",
    "windows",
    "events",
)
# What a score may depend on beside the lead time, and the column that it stands in.
_COLUMN_OF = {
    "threshold": "threshold",
    "pool": "scale",
    "scale": "scale",
    "wavelength": "scale",
    "rank": "bin",
    "exceeding": "bin",
}


def all_scores(
    statistics: Mapping[str, xr.Dataset], *, reference: str | None = None
) -> dict[str, xr.Dataset]:
    """Scores with intervals at each lead frame 1, 2, … and, as lead frame 0, of all lead times together.

    Args:
        statistics: sums of each contestant with a dimension ``event``.
        reference: see `scores_with_intervals`.
    """
    scores = scores_with_intervals(
        {name: _with_all_lead_times(part) for name, part in statistics.items()}, reference=reference
    )
    return {
        name: part.assign_attrs(
            windows=int(statistics[name]["cases"].sum()), events=statistics[name].sizes["event"]
        )
        for name, part in scores.items()
    }


def _with_all_lead_times(statistics: xr.Dataset) -> xr.Dataset:
    """Statistics with a dimension ``lead_frame`` of which 0 is the sum over lead times."""
    together = statistics.sum("lead_time").expand_dims(lead_time=1)
    sums = xr.concat(
        [together, statistics.drop_vars("lead_time", errors="ignore")], "lead_time", data_vars="minimal"
    )
    frames = np.arange(sums.sizes["lead_time"])
    return sums.rename(lead_time="lead_frame").assign_coords(lead_frame=frames)


def tidy_table(scores: Mapping[str, xr.Dataset], names: Mapping[float, str] | None = None) -> pd.DataFrame:
    """Scores of some contestants, one a row; lead frame 0 is all lead times together.

    Args:
        scores: of each contestant, as `all_scores` returns them.
        names: what thresholds were asked for as, by their rate in mm/h.

    Returns:
        The columns `COLUMNS`: threshold in mm/h; scale in pixels (side of a block or neighbourhood, or a
        wavelength); bin, a rank or the number of members above the threshold; the bounds of a 90% interval;
        NaN where there is none.
    """
    parts = []
    for name, dataset in scores.items():
        for metric, values in dataset.items():
            estimates = values.to_dataset("estimate").to_dataframe().reset_index().rename(columns=_COLUMN_OF)
            parts.append(estimates.assign(contestant=name, metric=str(metric), **dataset.attrs))
    table = pd.concat(parts).reindex(columns=list(COLUMNS))
    table["threshold_name"] = table["threshold"].map(dict(names or {}))
    return table.sort_values(["contestant", "lead_frame"], kind="stable", ignore_index=True)
