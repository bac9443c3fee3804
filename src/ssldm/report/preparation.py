"""What a report is about: contestants, windows and thresholds, checked before anything is computed."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.radar.observations import time_step
from ssldm.report.contestants import Contestant
from ssldm.report.forecast_files import FileContestant
from ssldm.report.hindcasts import Plan
from ssldm.verification.baselines import CONTEXT_FRAMES
from ssldm.verification.perceptual import FRAMES_OF_A_FILM, Perceptual
from ssldm.verification.statistics import Protocol
from ssldm.verification.thresholds import Threshold, thresholds
from ssldm.verification.windows import Window, observed_quantiles, windows

# Where no trained model says how many.
_LEAD_FRAMES = 16
_SMALLEST_SIZE = 16

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
        step_minutes: between frames.
    """

    plan: Plan
    windows: tuple[Window, ...]
    thresholds: tuple[Threshold, ...]
    reference: str | None
    command: str
    step_minutes: float

    @property
    def minutes(self) -> NDArray[np.float64]:
        """Lead times in minutes."""
        return np.asarray(self.step_minutes * np.arange(1, self.plan.lead_frames + 1), np.float64)


def plan_of(
    archives: Sequence[str | Path],
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
        ConfigurationError: no contestants, names that repeat or are unfit for files, an archive given twice,
            too many lead frames, or too few for FVD.
    """
    places = [os.path.realpath(archive) for archive in archives]
    if len(set(places)) < len(places):
        raise ConfigurationError(f"expected different archives, found {', '.join(map(str, archives))}")
    names = [contestant.name for contestant in contestants]
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(
            f"expected contestants with different names, found {', '.join(names) or '-'}"
        )
    if unfit := [name for name in names if not re.fullmatch(r"[\w+][\w.+-]*", name)]:
        raise ConfigurationError(f"expected names of letters, digits and .+-_, found {unfit[0]!r}")
    needed = [contestant.frames for contestant in contestants if contestant.frames is not None]
    context = max([CONTEXT_FRAMES, *(frames[0] for frames in needed)])
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


def prepare(
    plan: Plan,
    selection: Selection,
    *,
    reference: str | None,
    command: str,
    progress: Progress = lambda items, _: items,
) -> Report:
    """Choose windows and thresholds.

    Args:
        plan: as `plan_of` returns it.
        selection: which windows.
        reference: see `Report`.
        command: see `Report`.
        progress: shows how much of the archives has been read.

    Raises:
        ObservationError: no windows, or none that all files of forecasts cover; several time steps.
        ConfigurationError: thresholds or a reference that are not to be had, tiles that are too small.
    """
    if reference is not None and reference not in {contestant.name for contestant in plan.contestants}:
        raise ConfigurationError(f"expected a contestant as reference, found {reference!r}")
    if selection.size is not None and selection.size < _SMALLEST_SIZE:
        raise ConfigurationError(
            f"expected tiles of at least {_SMALLEST_SIZE} pixels, found {selection.size}"
        )
    series = plan.series()
    found = windows(series, frames=plan.frames, size=selection.size, every=selection.every, progress=progress)
    first_of = {window.series: window for window in reversed(found)}
    steps = sorted(
        {float(time_step(w.of(series, plan.frames)) / np.timedelta64(1, "m")) for w in first_of.values()}
    )
    if len(steps) > 1:
        listed = ", ".join(f"{step:g} min" for step in steps)
        raise ObservationError(f"expected archives with one time step, found {listed}: verify one by one")
    found = _covered(plan, series, found)
    if selection.at_most is not None and len(found) > selection.at_most:
        places = np.linspace(0, len(found) - 1, selection.at_most).round().astype(int)
        found = [found[place] for place in places]

    def quantiles(probabilities: Sequence[float]) -> list[float | None]:
        shown = progress(found, len(found))
        fields = (window.of(series, plan.frames).values[plan.context_frames :] for window in shown)
        return observed_quantiles(fields, probabilities)

    chosen = thresholds(selection.thresholds, series, quantiles)
    protocol = Protocol(thresholds=tuple(threshold.rate for threshold in chosen))
    return Report(replace(plan, protocol=protocol), tuple(found), chosen, reference, command, steps[0])


def _covered(plan: Plan, series: Sequence[xr.DataArray], found: Sequence[Window]) -> list[Window]:
    """The windows for which all files of forecasts have one."""
    covered = list(found)
    for contestant in plan.contestants:
        if isinstance(contestant, FileContestant):
            covers = contestant.covers(plan.lead_frames)
            covered = [w for w in covered if covers(w.of(series, plan.context_frames))]
            if not covered:
                raise ObservationError(
                    f"expected forecasts of {contestant.name} that start where a window does, on its grid "
                    f"and for {plan.lead_frames} lead times (--lead-frames), found none"
                )
    return covered
