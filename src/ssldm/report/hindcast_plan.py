"""Which forecasts a store of hindcasts holds: from every frame of some archives that has its context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.paths import absolute_paths
from ssldm.radar.archive import open_archive
from ssldm.radar.archive_store import group_names, series_key
from ssldm.radar.times import usual_step
from ssldm.report.contestants import EnsembleSettings, ModelContestant, trained
from ssldm.verification.windows import starts


@dataclass(frozen=True)
class HindcastPlan:
    """All that a worker needs to know.

    Attributes:
        archives: their series, in this order, are those of the starts.
        model: that forecasts.
        lead_frames: of each forecast.
        every: frames between starts of a series.
        out: Zarr store of the forecasts.
    """

    archives: tuple[str, ...]
    model: ModelContestant
    lead_frames: int
    every: int
    out: Path

    @property
    def context_frames(self) -> int:
        """Frames that a forecast starts from."""
        return self.model.frames[0]

    def series(self) -> list[xr.DataArray]:
        """The series of all archives ``(time, y, x)``, lazily."""
        return [data for archive in self.archives for data in open_archive(archive)]

    def absolute(self) -> "HindcastPlan":
        """With archives and output under paths that mean the same in every folder."""
        return replace(self, archives=absolute_paths(self.archives), out=self.out.absolute())


@dataclass(frozen=True)
class Start:
    """One forecast to be made.

    Attributes:
        name: unique among the starts: its group and its reference time.
        series: which of the series it lies in.
        first: first frame of its context.
        group: of the store.
        place: among the reference times of the group.
    """

    name: str
    series: int
    first: int
    group: str
    place: int

    def context(self, series: Sequence[xr.DataArray], frames: int) -> xr.DataArray:
        """So many frames ``(time, y, x)`` that the forecast starts from, lazily."""
        return series[self.series].isel(time=slice(self.first, self.first + frames))


def hindcast_plan(
    archives: Sequence[str],
    model: str,
    settings: EnsembleSettings,
    out: Path,
    *,
    lead_frames: int | None = None,
    every: int = 1,
) -> HindcastPlan:
    """What is asked for, checked.

    Args:
        archives: to forecast.
        model: see `ssldm.report.contestants.trained`.
        settings: of the ensemble.
        out: see `HindcastPlan`.
        lead_frames: of each forecast; None for all that the model has.
        every: see `HindcastPlan`.

    Raises:
        ModelError: no such model.
        ConfigurationError: a model without members, or with fewer lead frames.
    """
    found = trained(model, settings)
    if not isinstance(found, ModelContestant):
        raise ConfigurationError(f"expected an ensemble model, found {model}")
    available = found.frames[1]
    if lead_frames is not None and lead_frames > available:
        raise ConfigurationError(f"expected at most {available} lead frames, found {lead_frames}")
    return HindcastPlan(tuple(archives), found, lead_frames or available, every, out)


def starts_by_group(plan: HindcastPlan, series: Sequence[xr.DataArray]) -> dict[str, tuple[Start, ...]]:
    """The starts of each group of the store, in order of time.

    Series of one product, place, grid and time step share a group, whatever archive they are in.

    Args:
        plan: which starts.
        series: of its archives.

    Raises:
        ObservationError: none, or two of the same time in one group.
    """
    ends: dict[str, list[tuple[np.datetime64, int, int]]] = {}
    for number, data in enumerate(series):
        times = data["time"].values
        for first in starts(times, plan.context_frames, plan.every):
            key = f"{series_key(data)} {usual_step(times)}"
            ends.setdefault(key, []).append((times[first + plan.context_frames - 1], number, first))
    if not ends:
        raise ObservationError(f"expected {plan.context_frames} frames that follow each other, found none")
    names = group_names([series[found[0][1]] for found in ends.values()])
    return {name: _in_order(name, found) for name, found in zip(names, ends.values(), strict=True)}


def _in_order(group: str, ends: Sequence[tuple[np.datetime64, int, int]]) -> tuple[Start, ...]:
    found: list[Start] = []
    for place, (time, number, first) in enumerate(sorted(ends)):
        stamp = np.datetime_as_string(time, unit="s" if time.astype("M8[m]") != time else "m")
        name = f"{group} {stamp}".strip()
        if found and found[-1].name == name:
            raise ObservationError(f"expected each start in one archive, found {name} in two")
        found.append(Start(name, number, first, group, place))
    return tuple(found)
