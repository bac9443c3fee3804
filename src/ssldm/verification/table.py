"""Scores as one tidy table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from ssldm.verification.statistics import scores_of

COLUMNS = ("contestant", "lead_frame", "metric", "threshold", "scale", "bin", "value", "windows")
# What a score may depend on beside the lead time, and the column that it stands in.
_COLUMN_OF = {
    "threshold": "threshold",
    "pool": "scale",
    "scale": "scale",
    "wavelength": "scale",
    "rank": "bin",
    "exceeding": "bin",
}


def tidy_table(statistics: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Scores of some contestants, one a row; lead frame 0 is all lead times together.

    Args:
        statistics: merged sums of each contestant.

    Returns:
        The columns `COLUMNS`: threshold in mm/h; scale in pixels (side of a block or neighbourhood, or a
        wavelength); bin, a rank or the number of members above the threshold; NaN where there is none.
    """
    parts = []
    for name, sums in statistics.items():
        overall = scores_of(sums.sum("lead_time")).expand_dims(lead_frame=[0])
        frames = np.arange(1, sums.sizes["lead_time"] + 1)
        by_lead = scores_of(sums).rename(lead_time="lead_frame").assign_coords(lead_frame=frames)
        for scores in (overall, by_lead):
            for metric, values in scores.items():
                part = values.rename("value").to_dataframe().reset_index().rename(columns=_COLUMN_OF)
                parts.append(part.assign(contestant=name, metric=str(metric), windows=int(sums["cases"])))
    table = pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))
    return table.sort_values(["contestant", "lead_frame"], kind="stable", ignore_index=True)
