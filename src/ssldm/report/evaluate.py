"""A verification report: from archives and contestants to a folder that can be read."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.nowcast.dataset import open_nowcast
from ssldm.radar.observations import NAME, pixel_size, time_step
from ssldm.report import figures
from ssldm.report.cases import case_maps
from ssldm.report.contestants import Contestant
from ssldm.report.forecast_files import FileContestant
from ssldm.report.headline import headline
from ssldm.report.hindcasts import Plan, compute_statistics, read_statistics
from ssldm.report.page import Page, write_markdown, write_page
from ssldm.verification.perceptual import FILM, FRAMES_OF_A_FILM, Perceptual, frechet_video_distance
from ssldm.verification.statistics import Protocol, merge, scores_of
from ssldm.verification.table import all_scores, tidy_table
from ssldm.verification.thresholds import Threshold, thresholds
from ssldm.verification.windows import Window, observed_quantiles, windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of windows where no trained model is among the contestants.
_CONTEXT_FRAMES, _LEAD_FRAMES = 4, 16

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Selection:
    """Which windows are verified.

    Attributes:
        size: side of the tiles in pixels; None for whole domains.
        every: frames between windows; disjoint where None.
        at_most: so many windows, spread evenly over all; None for all.
        thresholds: see `ssldm.verification.thresholds`.
    """

    size: int | None = 256
    every: int | None = None
    at_most: int | None = None
    thresholds: str = "default,p99,p99.9"


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        plan: contestants, observations and protocol.
        windows: that were verified.
        thresholds: of the protocol.
        reference: whose scores skill is relative to.
        command: that makes it again.
    """

    plan: Plan
    windows: tuple[Window, ...]
    thresholds: tuple[Threshold, ...]
    reference: str | None
    command: str


def plan_of(
    archives: Sequence[Path],
    contestants: Sequence[Contestant],
    out: Path,
    *,
    lead_frames: int | None = None,
    perceptual: Perceptual | None = None,
) -> Plan:
    """What contestants need: as much context as the one that needs most, and lead frames that all have.

    Args:
        archives: to verify on.
        contestants: the first is the one that the cases are chosen by.
        out: folder of the report.
        lead_frames: to score; None for as many as all trained models have, or 16.
        perceptual: LPIPS and FVD, None for neither.

    Raises:
        ConfigurationError: no contestants, names that repeat or are unfit for files, too many lead frames,
            or too few for FVD.
    """
    names = [contestant.name for contestant in contestants]
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(
            f"expected contestants with different names, found {', '.join(names) or '-'}"
        )
    if unfit := [name for name in names if not re.fullmatch(r"[\w+][\w.+-]*", name)]:
        raise ConfigurationError(f"expected names of letters, digits and .+-_, found {unfit[0]!r}")
    needed = [contestant.frames for contestant in contestants if contestant.frames is not None]
    context = max((frames[0] for frames in needed), default=_CONTEXT_FRAMES)
    available = min((frames[1] for frames in needed), default=_LEAD_FRAMES)
    if needed and lead_frames is not None and lead_frames > available:
        raise ConfigurationError(f"expected at most {available} lead frames, found {lead_frames}")
    lead_frames = lead_frames or available
    if perceptual is not None and perceptual.fvd is not None and lead_frames < FRAMES_OF_A_FILM:
        raise ConfigurationError(f"FVD needs {FRAMES_OF_A_FILM} lead frames, found {lead_frames}")
    return Plan(
        archives=tuple(map(str, archives)),
        contestants=tuple(contestants),
        context_frames=context,
        lead_frames=lead_frames,
        protocol=Protocol(),
        out=out,
        perceptual=perceptual,
    )


def prepare(plan: Plan, selection: Selection, *, reference: str | None, command: str) -> Report:
    """Choose windows and thresholds.

    Raises:
        ObservationError: no windows, or none that all files of forecasts cover.
        ConfigurationError: thresholds or a reference that are not to be had.
    """
    if reference is not None and reference not in {contestant.name for contestant in plan.contestants}:
        raise ConfigurationError(f"expected a contestant as reference, found {reference!r}")
    series = plan.series()
    found = windows(series, frames=plan.frames, size=selection.size, every=selection.every)
    found = _covered(plan, series, found)
    if selection.at_most is not None and len(found) > selection.at_most:
        places = np.linspace(0, len(found) - 1, selection.at_most).round().astype(int)
        found = [found[place] for place in places]

    def quantiles(probabilities: Sequence[float]) -> list[float | None]:
        fields = (window.of(series, plan.frames).values[plan.context_frames :] for window in found)
        return observed_quantiles(fields, probabilities)

    chosen = thresholds(selection.thresholds, series, quantiles)
    protocol = Protocol(thresholds=tuple(threshold.rate for threshold in chosen))
    return Report(replace(plan, protocol=protocol), tuple(found), chosen, reference, command)


def _covered(plan: Plan, series: Sequence[xr.DataArray], found: Sequence[Window]) -> list[Window]:
    """The windows for which all files of forecasts have one."""
    covered = list(found)
    for contestant in plan.contestants:
        if isinstance(contestant, FileContestant):
            covers = contestant.covers()
            covered = [w for w in covered if covers(w.of(series, plan.context_frames))]
            if not covered:
                raise ObservationError(f"expected forecasts of {contestant.name} for windows, found none")
    return covered


def evaluate(report: Report, *, workers: int, progress: Progress) -> pd.DataFrame:
    """Make hindcasts and statistics where they are missing, and write the report; returns the scores.

    Args:
        report: as `prepare` returns it.
        workers: number of processes.
        progress: shows how many windows are done.
    """
    plan = report.plan
    plan.out.mkdir(parents=True, exist_ok=True)
    done = compute_statistics(plan, report.windows, workers=workers)
    for _ in progress(done, len(report.windows)):
        pass
    by_event: dict[str, dict[str, xr.Dataset]] = {c.name: {} for c in plan.contestants}
    rows: list[dict[str, Any]] = []
    notes: dict[str, dict[str, int]] = {c.name: {} for c in plan.contestants}
    for window in report.windows:  # in this order, so that sums are the same to the bit
        for name, part in read_statistics(plan, window).items():
            note = part.attrs.pop("notes", "")
            for text in filter(None, str(note).split("; ")):
                notes[name][text] = notes[name].get(text, 0) + 1
            events = by_event[name]
            events[window.event] = merge([events[window.event], part]) if window.event in events else part
            rows.append({"window": window.name, "event": window.event, "contestant": name, **_overall(part)})
    statistics = {
        name: xr.concat(events.values(), dim=xr.DataArray(list(events), dims="event", name="event"))
        for name, events in by_event.items()
    }
    names = {threshold.rate: threshold.name for threshold in report.thresholds}
    scores = all_scores(
        {name: part.drop_vars(FILM, errors="ignore") for name, part in statistics.items()},
        reference=report.reference,
    )
    if plan.perceptual is not None and plan.perceptual.fvd is not None:
        scores = {name: _with_video_distance(part, statistics[name]) for name, part in scores.items()}
    table = tidy_table(scores, names)
    by_window = pd.DataFrame(rows)
    _write_table(table, plan.out / "scores.csv")
    _write_table(by_window, plan.out / "windows.csv")
    _write_scores(scores, statistics, names, plan.out / "scores.nc")
    _write_pictures_and_page(report, scores, by_window, notes)
    return table


def _with_video_distance(scores: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
    """Scores with the one FVD of all films: it has neither lead times nor, as it is not a mean, intervals."""
    empty = xr.full_like(scores["mae"], np.nan)
    distance = frechet_video_distance(statistics[list(FILM)].sum("event"))
    first = (scores["lead_frame"] == 0) & (scores["estimate"] == "value")
    return scores.assign(fvd=empty.where(~first, distance))


def _overall(statistics: xr.Dataset) -> dict[str, float]:
    """A few scores of one window, all lead times together."""
    scores = scores_of(statistics.sum("lead_time"))
    return {
        "crps": float(scores["crps"].sel(pool=1)),
        "mae": float(scores["mae"]),
        "mean_rate": float(scores["mean_rate"]),
        "observed_rate": float(scores["observed_rate"]),
    }


def _write_table(table: pd.DataFrame, path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    table.to_csv(partial, index=False)
    partial.replace(path)


def _write_scores(
    scores: Mapping[str, xr.Dataset],
    statistics: Mapping[str, xr.Dataset],
    names: Mapping[float, str],
    path: Path,
) -> None:
    """A group for each contestant, with its scores, and in it `statistics`, the sums of each event."""
    groups: dict[str, xr.Dataset] = {}
    for name, dataset in scores.items():
        labels = [names[float(rate)] for rate in dataset["threshold"].values]
        groups[name] = dataset.assign_coords(threshold_name=("threshold", labels))
        groups[f"{name}/statistics"] = statistics[name]
    partial = path.with_name(path.name + ".partial")
    xr.DataTree.from_dict(groups).to_netcdf(partial, engine="h5netcdf")
    partial.replace(path)


def _write_pictures_and_page(
    report: Report,
    scores: Mapping[str, xr.Dataset],
    by_window: pd.DataFrame,
    notes: Mapping[str, Mapping[str, int]],
) -> None:
    plan = report.plan
    labels = {threshold.rate: threshold.label for threshold in report.thresholds}
    series = plan.series()
    first = report.windows[0].of(series, plan.frames)
    minutes = np.arange(1, plan.lead_frames + 1) * float(time_step(first) / np.timedelta64(1, "m"))
    sizes = {round(pixel_size(w.of(series, plan.frames)) / 1000.0, 2) for w in report.windows}
    drawn: dict[str, tuple[str, Figure]] = {
        "lead-time": (
            "Scores by lead time; shades are 90% intervals",
            figures.by_lead_time(scores, list(minutes), labels),
        ),
        "reliability": (
            "Reliability: on the diagonal, forecast probabilities come true as often as they say",
            figures.reliability(scores, labels),
        ),
        "ensemble": (
            "Is the truth one of the members? Rank histograms (flat is right) and spread (1 is right)",
            figures.ensemble_consistency(scores, list(minutes)),
        ),
        "spectra": (
            "Sharpness: power of the members over that of the observation (1 is right)",
            figures.spectra(scores, list(minutes), sizes.pop() if len(sizes) == 1 else None),
        ),
        "scales": ("Skill by scale: fractions skill score", figures.by_scale(scores, labels)),
    }
    for label, window in _cases(report, by_window):
        drawn[f"case-{label}"] = (f"The {label} case: {window.name}", _maps(plan, series, window, minutes))
    folder = plan.out / "figures"
    folder.mkdir(exist_ok=True)
    pictures = []
    for name, (caption, figure) in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=100)
        pictures.append((caption, folder / f"{name}.png"))
    counts = by_window.drop_duplicates("window").groupby("event", sort=False).size()
    page = Page(
        contestants=tuple(contestant.name for contestant in plan.contestants),
        rows=tuple(headline(scores, labels)),
        pictures=tuple(pictures),
        events=tuple((str(event), int(count)) for event, count in counts.items()),
        notes=tuple((name, text, n) for name, found in notes.items() for text, n in found.items()),
        reference=report.reference,
        lead_time=f"{plan.lead_frames} lead times, {minutes[0]:g} to {minutes[-1]:g} min",
        command=report.command,
    )
    write_page(page, plan.out / "index.html")
    write_markdown(page, plan.out / "headline.md")


def _cases(report: Report, by_window: pd.DataFrame) -> list[tuple[str, Window]]:
    """Best, median and worst window of the first contestant: by CRPS, relative to the reference's."""
    wide = by_window.pivot_table(index="window", columns="contestant", values="crps", sort=False)
    first = report.plan.contestants[0].name
    relative = wide[first]
    if report.reference not in (None, first):
        relative = relative / wide[report.reference].where(wide[report.reference] > 0)
    ordered = relative.dropna().sort_values(kind="stable").index
    if not len(ordered):
        return []
    by_name = {window.name: window for window in report.windows}
    places = {"best": 0, "median": len(ordered) // 2, "worst": len(ordered) - 1}
    return [(label, by_name[ordered[place]]) for label, place in places.items()]


def _maps(plan: Plan, series: Sequence[xr.DataArray], window: Window, minutes: np.ndarray) -> "Figure":
    truth = window.of(series, plan.frames).isel(time=slice(plan.context_frames, None)).load()
    kept = [contestant for contestant in plan.contestants if contestant.kept]
    forecasts = {}
    for contestant in kept:
        with open_nowcast(plan.hindcast_path(contestant, window)) as dataset:
            forecasts[contestant.name] = dataset[NAME].values
    return case_maps(truth, forecasts, minutes)
