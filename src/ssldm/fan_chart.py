"""The rain of one place over the lead times: quantiles of the members as a fan."""

from pathlib import Path

import xarray as xr

from ssldm.atomic import replacing
from ssldm.drawable import start_of
from ssldm.errors import ObservationError, OutputError
from ssldm.paths import as_path
from ssldm.plotting import STILL, check_picture_output
from ssldm.products.nowcast import members_of
from ssldm.rain_maps import panel_grid, save_still, stamp

_FAN = ((0.05, 0.95, "#c6dbef"), (0.25, 0.75, "#6baed6"))
_SHOWN_BEFORE = 12


def plot_fan(
    place: xr.Dataset, path: Path | str, *, observed: xr.DataArray | None = None, name: str = ""
) -> None:
    """Draw the quantiles of a place, and the probability of rain there (``.png``, ``.svg``).

    Args:
        place: a nowcast without rows and columns, of `forecast.ssldm.at` for a single place.
        path: the picture to write.
        observed: ``(time,)`` in mm/h, what was observed there.
        name: of the place.

    Raises:
        ObservationError: a forecast of more than one place, or a file name of another kind.
        OutputError: a place that no file can be written to.
    """
    from matplotlib.dates import DateFormatter

    path = as_path(path, OutputError)
    check_picture_output(path)
    if path.suffix.lower() not in STILL:
        raise ObservationError(f"{path}: expected a name ending in {', '.join(STILL)} for a fan chart")
    rate = members_of(place)
    if set(rate.dims) != {"member", "lead_time"}:
        raise ObservationError(f"expected a forecast of one place, found {rate.dims}")
    time = place["valid_time"].values
    figure, axes = panel_grid(2, 1, 3.0, least_width=8.0)
    fan, chance = axes[:, 0]
    of = place.ssldm
    for low, high, colour in _FAN:
        label = f"{100 * low:g} to {100 * high:g}%"
        fan.fill_between(time, of.quantile(low), of.quantile(high), color=colour, label=label, linewidth=0)
    fan.plot(time, of.quantile(0.5), color="#08519c", label="median")
    start = start_of(place)
    if observed is not None:
        first = int((observed["time"].values <= start).sum()) - _SHOWN_BEFORE
        seen = observed.isel(time=slice(max(first, 0), None)).sel(time=slice(None, time[-1]))
        fan.plot(seen["time"], seen, color="black", marker="o", markersize=3, label="observed")
    fan.set_ylabel("rain rate in mm/h")
    fan.set_ylim(bottom=0.0)
    for least, style in ((0.1, "-"), (2.0, "--"), (8.0, ":")):
        chance.plot(time, 100.0 * of.exceedance_probability(least), f"k{style}", label=f"≥ {least:g} mm/h")
    chance.set(ylabel="probability in %", ylim=(0.0, 100.0), xlabel=f"UTC, from {stamp(start)}")
    for axis in (fan, chance):
        axis.axvline(start, color="0.6", linewidth=0.8)
        axis.set_xlim(*chance.get_xlim() if observed is None else fan.get_xlim())
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axis.grid(color="0.9")
        axis.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    members = rate.sizes["member"]
    figure.suptitle(f"{name or 'Rain at one place'} · {members} members", fontsize=11)
    figure.supxlabel(place.attrs.get("source", ""), x=0.01, ha="left", fontsize=6, color="0.4")
    with replacing(path) as aside:
        save_still(figure, aside, path.suffix.lower())
