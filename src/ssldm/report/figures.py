"""Figures of a report: scores by lead time, reliability, ranks, spread, spectra, scales."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from ssldm.rain_maps import panel_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scores = Mapping[str, xr.Dataset]
_SHADED = 4  # contestants; of more, shades hide the lines


@dataclass(frozen=True)
class Style:
    """How a contestant is drawn: its line, and the opacity of its interval."""

    line: dict[str, Any]
    shade: float = 0.12


_LINES = ("-", "--", ":")
_COLOURS = ("#0b5394", "#cc4125", "#6aa84f", "#e69138", "#8e63b5", "#444444", "#45818e", "#a64d79")


def by_lead_time(scores: Scores, minutes: Sequence[float], thresholds: Mapping[float, str]) -> "Figure":
    """CRPS, bias, CSI of members and mean, and FSS against lead time; shades are 90% intervals."""
    rates = list(thresholds)[:3]
    panels: list[tuple[str, str, dict[str, float]]] = [
        ("CRPS, mm/h", "crps", {"pool": 1}),
        ("CRPS of means over 16 pixels, mm/h", "crps", {"pool": 16}),
        ("mean rain of the forecast, mm/h", "mean_rate", {}),
    ]
    for metric, label in (("csi_mean", "CSI of the mean"), ("csi", "CSI of members")):
        panels += [(f"{label}, {thresholds[r]}", metric, {"threshold": r, "pool": 1}) for r in rates]
    panels += [(f"FSS of 16 pixels, {thresholds[r]}", "fss", {"threshold": r, "scale": 16}) for r in rates]
    figure, axes = _panels(len(panels))
    for axis, (title, metric, where) in zip(axes, panels, strict=True):
        for style, (name, dataset) in _styled(scores):
            _band(axis, minutes, _at(dataset, metric, where), style, name)
        if metric == "mean_rate":
            observed = _at(next(iter(scores.values())), "observed_rate", {})
            _band(axis, minutes, observed, Style({"color": "black"}, shade=0.0), "observed")
        _label(axis, title, "lead time, min")
    _legend(figure, axes[2])
    return figure


def reliability(scores: Scores, thresholds: Mapping[float, str]) -> "Figure":
    """Observed frequency against forecast probability, and how often each probability was forecast."""
    ensembles = _ensembles(scores)
    figure, axes = _panels(2 * len(thresholds), columns=len(thresholds))
    for i, (rate, label) in enumerate(thresholds.items()):
        diagram, shares = axes[i], axes[len(thresholds) + i]
        diagram.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        for style, (name, dataset) in ensembles:
            chosen = dataset.isel(lead_frame=0).sel(threshold=rate)
            members = chosen.sizes["exceeding"] - 1
            probability = chosen["exceeding"].values / members
            frequency, share = chosen["observed_frequency"], chosen["forecast_share"].sel(estimate="value")
            _band(diagram, probability, frequency, style, name)
            shares.plot(probability, np.where(share > 0, share, np.nan), marker=".", **style.line)
        _logarithmic(shares, "y", 10)
        _label(diagram, f"{label}: observed frequency", "forecast probability")
        _label(shares, f"{label}: share of forecasts", "forecast probability")
    _legend(figure, axes[0])
    return figure


def ensemble_consistency(scores: Scores, minutes: Sequence[float]) -> "Figure":
    """Rank histograms at three lead times, all together, and spread over skill."""
    ensembles = _ensembles(scores)
    leads = sorted({len(minutes) // 4, len(minutes) // 2, len(minutes)} - {0})
    figure, axes = _panels(len(leads) + 2)
    titles = [f"rank histogram, {minutes[lead - 1]:g} min" for lead in leads]
    shown = zip(axes, ["rank histogram, all lead times", *titles], [0, *leads], strict=False)
    for axis, title, lead in shown:
        axis.axhline(1.0, color="0.6", linewidth=1)
        for style, (name, dataset) in ensembles:
            frequency = dataset["rank_frequency"].sel(lead_frame=lead, estimate="value")
            ranks = frequency["rank"].values
            axis.step(ranks / ranks.max(), frequency, where="mid", label=name, **style.line)
        _logarithmic(axis, "y", 2)
        _label(axis, title, "rank of the observation, 0 to 1")
    axis = axes[len(leads) + 1]
    axis.axhline(1.0, color="0.6", linewidth=1)
    for style, (name, dataset) in ensembles:
        _band(axis, minutes, _at(dataset, "spread_skill", {}), style, name)
    _label(axis, "spread over error of the mean", "lead time, min")
    _legend(figure, axes[0])
    return figure


def spectra(scores: Scores, minutes: Sequence[float], kilometres: float | None) -> "Figure":
    """Power of forecast over observed power by wavelength at three lead times; 1 is as sharp as observed."""
    leads = sorted({len(minutes) // 4, len(minutes) // 2, len(minutes)} - {0})
    figure, axes = _panels(len(leads))
    for axis, lead in zip(axes, leads, strict=True):
        axis.axhline(1.0, color="0.6", linewidth=1)
        for style, (name, dataset) in _styled(scores):
            ratio = dataset["power_ratio"].sel(lead_frame=lead)
            _band(axis, ratio["wavelength"].values, ratio, style, name)
        _logarithmic(axis, "x", 2)
        _logarithmic(axis, "y", 2)
        known = np.isfinite(ratio.sel(estimate="value").values)
        if known.any():
            axis.set_xlim(2.0, ratio["wavelength"].values[known].max())
        unit = "pixels" if kilometres is None else f"pixels of {kilometres:g} km"
        _label(axis, f"power, forecast / observed, {minutes[lead - 1]:g} min", f"wavelength, {unit}")
    _legend(figure, axes[0])
    return figure


def by_scale(scores: Scores, thresholds: Mapping[float, str]) -> "Figure":
    """Fractions skill score of all lead times by size of the neighbourhood."""
    figure, axes = _panels(len(thresholds))
    for axis, (rate, label) in zip(axes, thresholds.items(), strict=True):
        for style, (name, dataset) in _styled(scores):
            skill = dataset["fss"].isel(lead_frame=0).sel(threshold=rate)
            _band(axis, skill["scale"].values, skill, style, name)
        _logarithmic(axis, "x", 2)
        axis.set_ylim(0.0, 1.0)
        _label(axis, f"FSS, {label}", "side of the neighbourhood, pixels")
    _legend(figure, axes[0])
    return figure


def _ensembles(scores: Scores) -> list[tuple[Style, tuple[str, xr.Dataset]]]:
    """Style, name and scores of the contestants with more than one member."""
    return [(style, item) for style, item in _styled(scores) if item[1].sizes["rank"] > 2]


def _styled(scores: Scores) -> list[tuple[Style, tuple[str, xr.Dataset]]]:
    """A colour for each contestant; after the last colour they begin again, with other lines."""
    shade = Style.shade if len(scores) <= _SHADED else 0.0
    lines = [{"color": colour, "linestyle": line} for line in _LINES for colour in _COLOURS]
    return [(Style(line, shade), item) for line, item in zip(cycle(lines), scores.items(), strict=False)]


def _at(dataset: xr.Dataset, metric: str, where: Mapping[str, float]) -> xr.DataArray:
    """A score ``(estimate, lead)`` at each lead time."""
    return dataset[metric].sel(where).isel(lead_frame=slice(1, None))


def _band(
    axis: "Axes", positions: Sequence[float] | np.ndarray, values: xr.DataArray, style: Style, name: str
) -> None:
    value, lower, upper = (values.sel(estimate=name).values for name in ("value", "lower", "upper"))
    if np.isfinite(value).any():
        axis.plot(positions, value, marker=".", label=name, **style.line)
        if style.shade:  # an invisible shade would still widen the axis
            axis.fill_between(
                positions, lower, upper, color=style.line["color"], alpha=style.shade, linewidth=0
            )


def _panels(count: int, columns: int = 3) -> tuple["Figure", list["Axes"]]:
    columns = min(columns, count)
    figure, axes = panel_grid(-(-count // columns), columns, 3.2)
    for spare in axes.flat[count:]:
        spare.set_axis_off()
    return figure, list(axes.flat[:count])


def _logarithmic(axes: "Axes", which: Literal["x", "y"], base: int) -> None:
    """Ticks at powers of the base, as plain numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    if which == "x":
        axes.set_xscale("log", base=base)
    else:
        axes.set_yscale("log", base=base)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator([float(base) ** power for power in range(-12, 13)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _label(axis: "Axes", title: str, below: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(below, fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(color="0.92")
    axis.spines[["top", "right"]].set_visible(False)


def _legend(figure: "Figure", axis: "Axes") -> None:
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False
        )
