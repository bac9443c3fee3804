"""Hindcasts and their statistics on disk, made by worker processes, each once: a report cut short goes on.

    OUT/hindcasts/CONTESTANT/WINDOW.nc    a nowcast, as `ssldm nowcast` writes it
    OUT/statistics/WINDOW.npz             sums and tiles of each contestant, as arrays

Each file carries the hash of all that it depends on and is made anew where that has changed. Files are
written aside and renamed. What is computed for a window does not depend on other windows, nor on how many
processes there are, so reports are the same however they came about.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.forecast.dataset import write_nowcast
from ssldm.paths import absolute_paths
from ssldm.radar.archive import open_archive
from ssldm.radar.observations import NAME
from ssldm.report.code_identity import code_identity, digest, observed_hash
from ssldm.report.contestants import Contestant, Forecaster, noted
from ssldm.report.statistics_file import key_of_statistics, write_statistics
from ssldm.report.work import Work, kept_maker
from ssldm.verification.case import Case
from ssldm.verification.comparison import compare
from ssldm.verification.member_groups import groups_of
from ssldm.verification.perceptual import Perceptual
from ssldm.verification.statistics import Protocol
from ssldm.verification.two_sample import tiles_of
from ssldm.verification.windows import Window

_KEY = "depends_on"
_NOTES = "comment"


@dataclass(frozen=True)
class Plan:
    """All that a worker needs to know.

    Attributes:
        archives: their series, in this order, are those of the windows.
        contestants: with different names.
        context_frames, lead_frames: of each window.
        protocol: what to score.
        out: folder of the report.
        perceptual: LPIPS and FVD, None for neither.
    """

    archives: tuple[str, ...]
    contestants: tuple[Contestant, ...]
    context_frames: int
    lead_frames: int
    protocol: Protocol
    out: Path
    perceptual: Perceptual | None = None

    @property
    def frames(self) -> int:
        """Context and lead frames together."""
        return self.context_frames + self.lead_frames

    def series(self) -> list[xr.DataArray]:
        """The series of all archives, lazily."""
        return [data for archive in self.archives for data in open_archive(archive)]

    def absolute(self) -> "Plan":
        """With archives and output under paths that mean the same in every folder."""
        return replace(self, archives=absolute_paths(self.archives), out=self.out.absolute())

    def hindcast_path(self, contestant: Contestant, window: Window) -> Path:
        """Where the forecast of a window is, or will be."""
        return self.out / "hindcasts" / contestant.name / f"{window.name}.nc"

    def statistics_path(self, window: Window) -> Path:
        """Where the statistics of a window are, or will be."""
        return self.out / "statistics" / f"{window.name}.npz"


def compute_statistics(plan: Plan, windows: Sequence[Window], work: Work) -> Iterator[Window]:
    """Make what is missing of hindcasts and statistics; yields each window when it is done.

    Args:
        plan: what to make.
        windows: of which.
        work: how those that are missing are made, such as `ssldm.report.work.in_processes`.

    Raises:
        ObservationError: windows of which none can be made; the others are.
    """
    worker = Worker(plan)
    missing = []
    for window in windows:
        if worker.is_done(window):
            yield window
        else:
            missing.append(window)
    if missing:
        for window, _ in work(partial(work_on, plan.absolute()), missing):
            yield window


class Worker:
    """Makes hindcasts and statistics of one window after the other.

    Args:
        plan: what to make.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._forecasters: dict[str, Forecaster] = {}

    @cached_property
    def _series(self) -> list[xr.DataArray]:
        return self.plan.series()

    @cached_property
    def _identities(self) -> dict[str, dict[str, str | int]]:
        return {contestant.name: contestant.identity() for contestant in self.plan.contestants}

    def is_done(self, window: Window) -> bool:
        """Whether the statistics of a window are there, and as they would be made now."""
        key = key_of_statistics(self.plan.statistics_path(window))
        return key is not None and key == self._key(self._asked(self._load(window)))

    def _load(self, window: Window) -> xr.DataArray:
        return window.of(self._series, self.plan.frames).load()

    def _key(self, asked: tuple[str, int, int]) -> str:
        return digest([self._identities, *asked, *self._scoring])

    @cached_property
    def _scoring(self) -> tuple[dict[str, Any], ...]:
        """What statistics depend on beside the forecasts."""
        perceptual = self.plan.perceptual
        networks = perceptual.identity() if perceptual else {}
        code = code_identity(
            __name__,
            "ssldm.report.statistics_file",
            "ssldm.verification.comparison",
            "ssldm.verification.perceptual",
            "ssldm.verification.member_groups",
            "ssldm.verification.two_sample",
        )
        return self.plan.protocol.model_dump(), networks, code

    def _asked(self, data: xr.DataArray) -> tuple[str, int, int]:
        """All that a forecast depends on beside the contestant."""
        return observed_hash(data), self.plan.context_frames, self.plan.lead_frames

    def process(self, window: Window) -> None:
        """Make the statistics of a window."""
        data = self._load(window)
        asked = self._asked(data)
        context = data.isel(time=slice(0, self.plan.context_frames))
        forecasts, groups, notes = {}, {}, {}
        for contestant in self.plan.contestants:
            made_of = digest([self._identities[contestant.name], *asked])
            dataset = self._hindcast(contestant, window, context, made_of)
            forecasts[contestant.name] = _rates(dataset, contestant.name)
            groups[contestant.name] = groups_of(dataset)
            notes[contestant.name] = json.dumps(dataset.attrs.get(_NOTES, "").splitlines())
        truth = data.isel(time=slice(self.plan.context_frames, None))
        statistics = compare(forecasts, truth, self.plan.protocol, self._more, groups)
        parts = {name: part.assign_attrs(notes=notes[name]) for name, part in statistics.items()}
        write_statistics(self.plan.statistics_path(window), parts, self._key(asked))

    def _more(self, case: Case) -> xr.Dataset:
        """What is kept of a case beside the sums of the protocol."""
        tiles = xr.Dataset({"tiles": tiles_of(case)})
        return tiles if self.plan.perceptual is None else tiles.merge(self.plan.perceptual(case))

    def _hindcast(
        self, contestant: Contestant, window: Window, context: xr.DataArray, made_of: str
    ) -> xr.Dataset:
        path = self.plan.hindcast_path(contestant, window)
        if contestant.kept and _key_of(path) == made_of:
            with xr.open_dataset(path, engine="h5netcdf", decode_timedelta=True) as dataset:
                return dataset.load()
        if contestant.name not in self._forecasters:
            self._forecasters[contestant.name] = contestant.load()
        forecaster = self._forecasters[contestant.name]
        dataset, notes = noted(forecaster, context, self.plan.lead_frames)
        dataset.attrs[_NOTES] = "\n".join(notes)
        if contestant.kept:
            dataset.attrs[_KEY] = made_of
            write_nowcast(dataset, path)
        return dataset


def work_on(plan: Plan, window: Window) -> None:
    """Make the statistics of a window in this process, which keeps models for the next; on one thread."""
    # A worker of a cluster would send arrays of a window to others.
    with dask.config.set(scheduler="synchronous"):
        kept_maker(plan, Worker).process(window)


def _rates(dataset: xr.Dataset, name: str) -> NDArray[np.float32]:
    """Members ``(m, t, y, x)`` of a nowcast in mm/h."""
    rate = np.asarray(dataset[NAME].values, np.float32)
    if np.isinf(rate).any() or (rate < 0.0).any():
        raise ObservationError(
            f"{name}: expected rain rates from 0 mm/h, found {np.nanmin(rate):g} or infinity"
        )
    return rate


def _key_of(path: Path) -> str | None:
    """What a file depends on; None where there is none, or one that cannot be read."""
    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_timedelta=True) as dataset:
            return str(dataset.attrs.get(_KEY))
    except (OSError, ValueError):
        return None
