"""The pictures of a report: figures of all windows, and maps of the best, the median and the worst."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from ssldm.forecast.dataset import open_nowcast
from ssldm.radar.observations import NAME, pixel_size
from ssldm.report import figures
from ssldm.report.cases import case_maps
from ssldm.report.preparation import Report
from ssldm.verification.windows import Window

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_pictures(
    report: Report, scores: Mapping[str, xr.Dataset], by_window: pd.DataFrame
) -> dict[str, tuple[str, bytes]]:
    """Captions and PNG files by name.

    Args:
        report: what was verified; hindcasts lie in its folder.
        scores: of each contestant, see `ssldm.verification.table.all_scores`.
        by_window: CRPS by window and contestant.
    """
    labels = {threshold.rate: threshold.label for threshold in report.thresholds}
    minutes = list(report.minutes)
    series = report.plan.series()
    sizes = {round(pixel_size(w.of(series, report.plan.frames)) / 1000.0, 2) for w in report.windows}
    kilometres = sizes.pop() if len(sizes) == 1 else None
    drawn: dict[str, tuple[str, Figure]] = {
        "lead-time": (
            "Scores by lead time (shades, for up to four contestants: 90% intervals)",
            figures.by_lead_time(scores, minutes, labels),
        ),
        "reliability": (
            "Reliability: on the diagonal, forecast probabilities come true as often as they say",
            figures.reliability(scores, labels),
        ),
        "ensemble": (
            "Is the truth one of the members? Rank histograms (flat is right) and spread (1 is right)",
            figures.ensemble_consistency(scores, minutes),
        ),
        "spectra": (
            "Sharpness: power of the members over that of the observation (1 is right)",
            figures.spectra(scores, minutes, kilometres),
        ),
        "scales": ("Skill by scale: fractions skill score", figures.by_scale(scores, labels)),
    }
    for label, window in _cases(report, by_window):
        drawn[f"case-{label}"] = (f"The {label} case: {window.name}", _maps(report, series, window))
    return {name: (caption, _png(figure)) for name, (caption, figure) in drawn.items()}


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _cases(report: Report, by_window: pd.DataFrame) -> list[tuple[str, Window]]:
    """Best, median and worst window of the first contestant: by CRPS, relative to the reference's."""
    wide = by_window.pivot(index="window", columns="contestant", values="crps")
    wide = wide.reindex([window.name for window in report.windows])
    first = report.plan.contestants[0].name
    relative = wide[first]
    if report.reference not in (None, first):
        relative = relative / wide[report.reference].where(wide[report.reference] > 0)
    ordered = relative.dropna().sort_values(kind="stable").index
    by_name = {window.name: window for window in report.windows}
    places = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    return [(label, by_name[ordered[place]]) for label, place in places.items()] if len(ordered) else []


def _maps(report: Report, series: Sequence[xr.DataArray], window: Window) -> "Figure":
    plan = report.plan
    truth = window.of(series, plan.frames).isel(time=slice(plan.context_frames, None)).load()
    forecasts = {}
    for contestant in plan.contestants:
        if contestant.kept:
            with open_nowcast(plan.hindcast_path(contestant, window)) as dataset:
                forecasts[contestant.name] = dataset[NAME].values
    return case_maps(truth, forecasts, report.minutes)
