"""Forecasts in files as a contestant."""

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.forecast.dataset import open_nowcast
from ssldm.radar.grid import GRID_MAPPING
from ssldm.radar.observations import NAME, pixel_size, time_step
from ssldm.radar.times import utc_times
from ssldm.report.code_identity import code_identity, digest
from ssldm.verification.member_groups import PAIR

if TYPE_CHECKING:
    from ssldm.report.contestants import Forecaster


@dataclass(frozen=True)
class FileContestant:
    """Forecasts in NetCDF files of the layout that ``ssldm nowcast`` writes.

    Attributes:
        files: any number of them; which one serves a window is told by its reference time, its place and
            its grid.
    """

    name: str
    files: tuple[str, ...]
    frames: None = None
    kept: bool = False

    @classmethod
    def matching(cls, name: str, pattern: str) -> "FileContestant":
        """All files that a pattern matches.

        Raises:
            ObservationError: none.
        """
        files = tuple(sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207  # may be absolute
        if not files:
            raise ObservationError(f"expected forecasts of {name}, found no file that matches {pattern}")
        return cls(name, files)

    def identity(self) -> dict[str, str | int]:
        """Names, sizes and times of change of the files, and how they are read."""
        states = [(file, Path(file).stat()) for file in self.files]
        listed = [(file, state.st_size, state.st_mtime_ns) for file, state in states]
        return {"files": digest(listed), **code_identity(__name__, __name__)}

    def load(self) -> "Forecaster":
        """Look up the reference times."""
        return partial(_forecast, self.name, self._files_at())

    def covers(self, lead_frames: int) -> Callable[[xr.DataArray], bool]:
        """A function that says whether there is a forecast for a context (whose values it does not read).

        Raises:
            ObservationError: files that are no nowcasts, or that differ in their number of members.
        """
        files_at = self._files_at()
        return lambda context: _matching(files_at, context, lead_frames) is not None

    def _files_at(self) -> "_FilesAt":
        found: _FilesAt = {}
        members: dict[int, str] = {}
        for file in self.files:
            dataset = _checked(file)
            members.setdefault(dataset.sizes["member"], file)
            (time,) = utc_times(dataset["forecast_reference_time"].values)
            found.setdefault(time, []).append((file, dataset))
        if len(members) > 1:
            sizes = ", ".join(f"{count} in {file}" for count, file in sorted(members.items()))
            raise ObservationError(
                f"expected one number of members in all files of {self.name}, found {sizes}"
            )
        return found


_FilesAt = dict[np.datetime64, list[tuple[str, xr.Dataset]]]


def _checked(file: str) -> xr.Dataset:
    """A nowcast, lazily, that can be matched to windows."""
    dataset = open_nowcast(Path(file))
    if missing := {"member", "lead_time", "y", "x"} - set(dataset[NAME].dims):
        raise ObservationError(f"{file}: expected {NAME} by {', '.join(sorted(missing))} too")
    time, lead = dataset.get("forecast_reference_time"), dataset.get("lead_time")
    if time is None or time.ndim or not np.issubdtype(time.dtype, np.datetime64):
        raise ObservationError(f"{file}: expected one forecast_reference_time")
    if lead is None or not np.issubdtype(lead.dtype, np.timedelta64):
        raise ObservationError(f"{file}: expected lead_time with a unit of time")
    if (units := dataset[NAME].attrs.get("units")) != "mm h-1":
        raise ObservationError(f"{file}: expected rain rate in mm h-1, found {units!r}")
    for axis in {"x", "y"} & set(dataset.coords):
        steps = np.diff(dataset[axis].values)
        if not ((steps > 0).all() or (steps < 0).all()):
            raise ObservationError(f"{file}: expected {axis} in rising or falling order")
    # To the second: files may hold fractions of an hour or a day.
    second = np.timedelta64(1, "s")
    whole = (np.round(lead.values / second) * second).astype("timedelta64[ns]")
    return dataset.assign_coords(lead_time=("lead_time", whole))


def _matching(files_at: _FilesAt, context: xr.DataArray, lead_frames: int) -> xr.Dataset | None:
    """The one forecast that starts from a context, on its pixels and at its lead times; None for none."""
    time = context["time"].values[-1].astype("datetime64[ns]")
    lead = (np.arange(1, lead_frames + 1) * time_step(context)).astype("timedelta64[ns]")
    found: list[tuple[str, xr.Dataset]] = []
    for file, dataset in files_at.get(time, ()):
        if not _same_place(file, dataset, context) or not set(lead) <= set(dataset["lead_time"].values):
            continue
        part = _on_grid(dataset, context)
        if part is not None:
            found.append((file, part.sel(lead_time=lead)))
    if len(found) > 1:
        files = " and ".join(file for file, _ in found[:2])
        raise ObservationError(f"expected one forecast from {time} UTC for a window, found {files}")
    return found[0][1] if found else None


def _same_place(file: str, dataset: xr.Dataset, context: xr.DataArray) -> bool:
    """Whether projection and place are the same, as far as both say.

    Raises:
        ObservationError: observations of several places without a projection, and a file that does not say
            of which it is.
    """
    ours, theirs = (data.coords.get(GRID_MAPPING) for data in (context, dataset))
    projections = [grid.attrs.get("crs_wkt") for grid in (ours, theirs) if grid is not None]
    if len(projections) == 2 and projections[0] != projections[1]:
        return False
    if "place" not in context.attrs:
        return True
    if "place" not in dataset.attrs and len(projections) < 2:
        raise ObservationError(
            f"{file}: expected an attribute place, such as {context.attrs['place']!r}: its grid does not tell"
        )
    return bool(dataset.attrs.get("place", context.attrs["place"]) == context.attrs["place"])


def _on_grid(dataset: xr.Dataset, context: xr.DataArray) -> xr.Dataset | None:
    """The part of a forecast that lies on the pixels of the context, None where it does not cover them."""
    axes: Sequence[str] = ("y", "x")
    if not set(axes) <= set(context.coords) or not set(axes) <= set(dataset.coords):
        same = all(dataset.sizes[axis] == context.sizes[axis] for axis in axes)
        return dataset if same else None
    tolerance = 0.1 * pixel_size(context)
    where = {axis: context[axis].values for axis in axes}
    try:
        return dataset.sel(where, method="nearest", tolerance=tolerance)
    except KeyError:
        return None


def _forecast(name: str, files_at: _FilesAt, context: xr.DataArray, lead_frames: int) -> xr.Dataset:
    found = _matching(files_at, context, lead_frames)
    if found is None:
        raise ObservationError(f"{name}: no forecast from {context['time'].values[-1]} UTC on this grid")
    names = [NAME, *({PAIR} & set(found.variables))]  # some tools turn the coordinate into a variable
    return found[names].transpose("member", "lead_time", "y", "x").load()
