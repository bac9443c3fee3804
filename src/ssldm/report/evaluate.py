"""A verification report: from archives and contestants to a folder that can be read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ssldm.atomic import replacing
from ssldm.errors import ObservationError
from ssldm.hdf5_output import replacing_hdf5
from ssldm.report.headline import headline, looks
from ssldm.report.hindcasts import compute_statistics
from ssldm.report.page import Page, write_markdown, write_page
from ssldm.report.pictures import draw_pictures
from ssldm.report.preparation import Progress, Report
from ssldm.report.statistics_file import read_statistics
from ssldm.report.work import Work
from ssldm.verification.perceptual import FILM, frechet_video_distance
from ssldm.verification.statistics import first_scores_of, merge
from ssldm.verification.table import all_scores, tidy_table
from ssldm.verification.two_sample import area_under_roc


@dataclass(frozen=True)
class _Sums:
    """What the windows of a report add up to.

    Attributes:
        statistics: of each contestant, by event.
        by_window: a few scores of each window and contestant.
        notes: what the forecasts of each contestant remarked, and in how many windows.
        tiles: of each contestant, those of each window, see `ssldm.verification.two_sample`.
    """

    statistics: dict[str, xr.Dataset]
    by_window: pd.DataFrame
    notes: dict[str, dict[str, int]]
    tiles: dict[str, list[xr.DataArray]]


def evaluate(report: Report, *, work: Work, progress: Progress) -> pd.DataFrame:
    """Make hindcasts and statistics where they are missing, and write the report; returns the scores.

    Processes are started anew: a script that calls this needs ``if __name__ == "__main__"``.

    Args:
        report: as `ssldm.report.preparation.prepare` returns it.
        work: how what is missing is made, see `ssldm.report.hindcasts.compute_statistics`.
        progress: shows how many windows are done.

    Raises:
        ObservationError: forecasts that cannot be compared, or no pixel that all contestants forecast.
    """
    plan = report.plan
    plan.out.mkdir(parents=True, exist_ok=True)
    done = compute_statistics(plan, report.windows, work)
    for _ in progress(done, len(report.windows)):
        pass
    sums = _added(report)
    scores = _scores(report, sums)
    names = {threshold.rate: threshold.name for threshold in report.thresholds}
    table = tidy_table(scores, names)
    pictures = draw_pictures(report, scores, sums.by_window)
    page = _page(report, scores, sums, pictures)
    # All of it is there before anything is written, and the page comes last.
    for frame, name in ((table, "scores.csv"), (sums.by_window, "windows.csv")):
        with replacing(plan.out / name) as aside:
            frame.to_csv(aside, index=False)
    _write_scores(report, scores, sums.statistics)
    folder = plan.out / "figures"
    for name, (_, picture) in pictures.items():
        with replacing(folder / f"{name}.png") as aside:
            aside.write_bytes(picture)
    for old in set(folder.glob("*.png")) - {folder / f"{name}.png" for name in pictures}:
        old.unlink()
    write_markdown(page, plan.out / "headline.md")
    write_page(page, plan.out / "index.html")
    return table


def _added(report: Report) -> _Sums:
    by_event: dict[str, dict[str, xr.Dataset]] = {c.name: {} for c in report.plan.contestants}
    rows: list[dict[str, Any]] = []
    notes: dict[str, dict[str, int]] = {c.name: {} for c in report.plan.contestants}
    tiles: dict[str, list[xr.DataArray]] = {c.name: [] for c in report.plan.contestants}
    for window in report.windows:  # in this order, so that sums are the same to the bit
        for name, found in read_statistics(report.plan.statistics_path(window)).items():
            tiles[name].append(found["tiles"])
            part = found.drop_dims(["tile", "tile_feature"])
            for note in json.loads(part.attrs.pop("notes")):
                text = note.removeprefix(f"{name}: ")
                notes[name][text] = notes[name].get(text, 0) + 1
            events = by_event[name]
            events[window.event] = merge([events[window.event], part]) if window.event in events else part
            rows.append({"window": window.name, "event": window.event, "contestant": name, **_overall(part)})
    statistics = {}
    for name, events in by_event.items():
        index = xr.DataArray(list(events), dims="event", name="event")
        try:
            statistics[name] = xr.concat(events.values(), dim=index, join="exact")
        except ValueError as error:
            raise ObservationError(f"{name}: expected as many members in all windows") from error
    if not any(int(part["coverage"].sel(coverage_term="counted").sum()) for part in statistics.values()):
        raise ObservationError("expected pixels that all contestants forecast, found none")
    return _Sums(statistics, pd.DataFrame(rows), notes, tiles)


def _overall(statistics: xr.Dataset) -> dict[str, float]:
    """A few scores of one window, all lead times together."""
    scores = first_scores_of(statistics.sum("lead_time"))
    return {
        "crps": float(scores["crps"].sel(pool=1)),
        "mae": float(scores["mae"]),
        "mean_rate": float(scores["mean_rate"]),
        "observed_rate": float(scores["observed_rate"]),
    }


def _scores(report: Report, sums: _Sums) -> dict[str, xr.Dataset]:
    scores = all_scores(
        {name: part.drop_vars(FILM, errors="ignore") for name, part in sums.statistics.items()},
        reference=report.reference,
    )
    perceptual = report.plan.perceptual
    found = {}
    for name, part in scores.items():
        more = {"classifier_auc": area_under_roc(sums.tiles[name])}
        if perceptual is not None and perceptual.fvd is not None:
            films = sums.statistics[name][list(FILM)].sum("event")
            more["fvd"] = {0: frechet_video_distance(films)}
        found[name] = part.assign({score: _values(part, values) for score, values in more.items()})
    return found


def _values(scores: xr.Dataset, by_lead_frame: Mapping[int, float]) -> xr.DataArray:
    """A score that is no mean over windows, and so has no intervals; NaN for other lead frames."""
    values = xr.full_like(scores["mae"], np.nan)
    for lead_frame, value in by_lead_frame.items():
        values.loc[{"lead_frame": lead_frame, "estimate": "value"}] = value
    return values


def _write_scores(
    report: Report, scores: Mapping[str, xr.Dataset], statistics: Mapping[str, xr.Dataset]
) -> None:
    """A group for each contestant, with its scores, and in it `statistics`, the sums of each event."""
    names = {threshold.rate: threshold.name for threshold in report.thresholds}
    groups: dict[str, xr.Dataset] = {}
    for name, dataset in scores.items():
        labels = [names[float(rate)] for rate in dataset["threshold"].values]
        groups[name] = dataset.assign_coords(threshold_name=("threshold", labels))
        groups[f"{name}/statistics"] = statistics[name]
    with replacing_hdf5(report.plan.out / "scores.nc") as file:
        xr.DataTree.from_dict(groups).to_netcdf(file, engine="h5netcdf")


def _page(
    report: Report, scores: Mapping[str, xr.Dataset], sums: _Sums, pictures: Mapping[str, tuple[str, bytes]]
) -> Page:
    labels = {threshold.rate: threshold.label for threshold in report.thresholds}
    counts = sums.by_window.drop_duplicates("window").groupby("event", sort=False).size()
    minutes = report.minutes
    return Page(
        contestants=tuple(contestant.name for contestant in report.plan.contestants),
        rows=tuple(headline(scores, labels)),
        looks=tuple(looks(scores, [float(lead) for lead in minutes])),
        pictures=tuple((caption, name, picture) for name, (caption, picture) in pictures.items()),
        events=tuple((str(event), int(count)) for event, count in counts.items()),
        notes=tuple((name, text, n) for name, found in sums.notes.items() for text, n in found.items()),
        reference=report.reference,
        lead_time=f"{len(minutes)} lead times, {minutes[0]:g} to {minutes[-1]:g} min",
        command=report.command,
    )
