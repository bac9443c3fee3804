"""The scores that are asked for first, contestants side by side, with intervals and the best marked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from ssldm.verification.two_sample import quarters

Better = Literal["low", "high", "one", "zero"]


@dataclass(frozen=True)
class Cell:
    """One score of one contestant, as text; `best` among the contestants."""

    value: str
    interval: str
    best: bool


@dataclass(frozen=True)
class Row:
    """One score of all contestants."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class _Score:
    label: str
    metric: str
    where: Mapping[str, float]
    better: Better
    lead_frame: int = 0


def headline(scores: Mapping[str, xr.Dataset], thresholds: Mapping[float, str]) -> list[Row]:
    """Scores of all lead times together, a row each; rows that nobody has are left out.

    Args:
        scores: as `ssldm.verification.table.all_scores` returns them.
        thresholds: what they were asked for as, by their rate in mm/h.
    """
    return _rows(scores, _scores(scores, thresholds))


def looks(scores: Mapping[str, xr.Dataset], minutes: Sequence[float]) -> list[Row]:
    """How members look beside the observation, at quarters of the lead times; the last cell is observed.

    Args:
        scores: as `ssldm.verification.table.all_scores` returns them.
        minutes: the lead times.
    """
    leads = quarters(len(minutes))
    observed = next(iter(scores.values()))  # the same for all contestants
    rows = []
    for metric, label in (
        ("objects", "objects a wet pixel"),
        ("object_area", "area of objects, pixels"),
        ("elongation", "elongation of objects"),
        ("coherence", "coherence"),
    ):
        for lead in leads:
            score = _Score(f"{label}, {minutes[lead - 1]:g} min", metric, {}, "one", lead)
            value = _cell(observed[f"observed_{metric}"].sel(lead_frame=lead), best=False)
            rows += [Row(row.label, (*row.cells, value)) for row in _rows(scores, [score])]
    return rows


def _rows(scores: Mapping[str, xr.Dataset], wanted: Iterable[_Score]) -> list[Row]:
    rows = []
    for score in wanted:
        at = {"lead_frame": score.lead_frame, **score.where}
        found = [dataset[score.metric].sel(at) for dataset in scores.values()]
        values = np.array([float(part.sel(estimate="value")) for part in found])
        if np.isfinite(values).any():
            best = _best(values, score.better)
            cells = [_cell(part, i == best) for i, part in enumerate(found)]
            rows.append(Row(score.label, tuple(cells)))
    return rows


def _scores(scores: Mapping[str, xr.Dataset], thresholds: Mapping[float, str]) -> Iterator[_Score]:
    first = next(iter(scores.values()))
    yield _Score("CRPS, mm/h", "crps", {"pool": 1}, "low")
    if "crps_skill" in first:
        yield _Score("CRPS skill", "crps_skill", {"pool": 1}, "high")
    yield _Score("fair CRPS, mm/h", "crps_fair", {"pool": 1}, "low")
    yield _Score("CRPS of means over 16 pixels, mm/h", "crps", {"pool": 16}, "low")
    yield _Score("CRPS of means over 12 frames, mm/h", "crps_amount", {"pool": 1}, "low")
    yield _Score("CRPS of means over 12 frames and 16 pixels, mm/h", "crps_amount", {"pool": 16}, "low")
    yield _Score("energy score, mm/h", "energy_score", {}, "low")
    yield _Score("variogram score, mm/h", "variogram_score", {}, "low")
    per_threshold: tuple[tuple[str, str, dict[str, float], Better], ...] = (
        ("CSI of the mean", "csi_mean", {"pool": 1}, "high"),
        ("CSI of members", "csi", {"pool": 1}, "high"),
        ("frequency bias of members", "bias", {"pool": 1}, "one"),
        ("Brier score", "brier", {}, "low"),
        ("CRPS of rain above, mm/h", "crps_above", {}, "low"),
        ("FSS of 16 pixels", "fss", {"scale": 16}, "high"),
    )
    for label, metric, where, better in per_threshold:
        for rate, name in thresholds.items():
            yield _Score(f"{label}, {name}", metric, {"threshold": rate, **where}, better)
    yield _Score("spread over error of the mean", "spread_skill", {}, "one")
    yield _Score("strongest rain, forecast - observed, mm/h", "max_error", {}, "zero")
    for component in ("structure", "amplitude", "location"):
        yield _Score(f"SAL of members, {component}", f"sal_{component}", {}, "zero")
    if "classifier_auc" in first:
        yield _Score("classifier of members against observations, ROC area", "classifier_auc", {}, "low")
    yield _Score("SSIM of members", "ssim", {}, "high")
    yield _Score("PSNR of members, dB", "psnr", {}, "high")
    yield _Score("share of the observed pixels that is forecast", "coverage", {}, "high")
    for metric, label in (("lpips", "LPIPS"), ("fvd", "FVD")):
        if metric in first:
            yield _Score(label, metric, {}, "low")


def _best(values: np.ndarray, better: Better) -> int | None:
    """Place of the best; None where it is not the only one."""
    badness = {
        "low": values,
        "high": -values,
        "one": np.abs(np.log(np.where(values > 0, values, np.nan))),
        "zero": np.abs(values),
    }[better]
    if np.isnan(badness).all():
        return None
    place = int(np.nanargmin(badness))
    return place if (badness == badness[place]).sum() == 1 else None


def _cell(score: xr.DataArray, best: bool) -> Cell:
    value, lower, upper = (float(score.sel(estimate=name)) for name in ("value", "lower", "upper"))
    if np.isnan(value):
        return Cell("–", "", best=False)
    interval = f"{_text(lower)} to {_text(upper)}" if np.isfinite(lower) and np.isfinite(upper) else ""
    return Cell(_text(value), interval, best)


def _text(value: float) -> str:
    """Three decimals, or four where three would say little."""
    return f"{value:.4f}" if 0.0 < abs(value) < 0.05 else f"{value:.3f}"
