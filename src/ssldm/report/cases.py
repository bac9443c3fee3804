"""Side-by-side maps of single hindcasts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.rain_maps import draw, panel_grid, rain_colours, stamp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 4


def case_maps(
    truth: xr.DataArray, forecasts: Mapping[str, NDArray[np.float32]], minutes: NDArray[np.float64]
) -> "Figure":
    """What was observed, and of each forecast its members and their mean, at four lead times.

    Args:
        truth: ``(time, y, x)`` in mm/h at the lead times.
        forecasts: members ``(m, t, y, x)`` in mm/h of each contestant.
        minutes: lead times.
    """
    from matplotlib.cm import ScalarMappable

    leads = np.unique(np.linspace(0, len(minutes) - 1, _COLUMNS + 1).round().astype(int)[1:])
    rows: dict[str, NDArray[np.float32]] = {"observed": truth.values}
    for number, (name, members) in enumerate(forecasts.items()):
        if len(members) == 1:
            rows[name] = members[0]
            continue
        shown = 3 if number == 0 else 1
        rows |= {f"{name}, member {k}": members[k] for k in range(min(shown, len(members)))}
        rows[f"{name}, mean of {len(members)}"] = members.mean(axis=0)
    figure, axes = panel_grid(len(rows), len(leads), 2.1)
    colour_map, norm = rain_colours()
    for row, (label, rate) in zip(axes, rows.items(), strict=True):
        for axis, lead in zip(row, leads, strict=True):
            draw(axis, rate[lead], colour_map, norm)
        row[0].set_ylabel(label, fontsize=8)
    for axis, lead in zip(axes[0], leads, strict=True):
        axis.set_title(f"+{minutes[lead]:g} min, {stamp(truth['time'].values[lead])[-5:]} UTC", fontsize=8)
    bar = figure.colorbar(
        ScalarMappable(norm, colour_map), ax=axes, location="bottom", fraction=0.02, pad=0.01, extend="max"
    )
    bar.set_label("rain rate in mm/h (grey: not observed, or no forecast)", fontsize=8)
    return figure
