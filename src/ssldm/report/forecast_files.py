"""Forecasts in files as a contestant."""

import glob
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.nowcast.dataset import open_nowcast
from ssldm.radar.observations import NAME, pixel_size, time_step
from ssldm.report.contestants import Forecaster, digest


@dataclass(frozen=True)
class FileContestant:
    """Forecasts in NetCDF files of the layout that ``ssldm nowcast`` writes.

    Attributes:
        files: any number of them; which one serves a window is told by its reference time and its grid.
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
        """Names, sizes and times of change of the files."""
        states = [(file, Path(file).stat()) for file in self.files]
        listed = [(file, state.st_size, state.st_mtime_ns) for file, state in states]
        return {"files": digest(listed)}

    def load(self) -> Forecaster:
        """Look up the reference times."""
        return partial(_from_files, self.name, self._by_reference_time())

    def covers(self) -> Callable[[xr.DataArray], bool]:
        """A function that says whether there is a forecast for a context (which it does not read)."""
        by_time = self._by_reference_time()
        return lambda context: any(
            _on_grid(dataset, context) is not None for dataset in by_time.get(_reference_time(context), ())
        )

    def _by_reference_time(self) -> dict[np.datetime64, list[xr.Dataset]]:
        found: dict[np.datetime64, list[xr.Dataset]] = {}
        for file in self.files:
            dataset = open_nowcast(Path(file))
            time = np.datetime64(dataset["forecast_reference_time"].values.item(), "ns")
            found.setdefault(time, []).append(dataset)
        return found


def _reference_time(context: xr.DataArray) -> np.datetime64:
    time: np.datetime64 = context["time"].values[-1].astype("datetime64[ns]")
    return time


def _on_grid(dataset: xr.Dataset, context: xr.DataArray) -> xr.Dataset | None:
    """The part of a forecast that lies on the pixels of the context, None where it does not cover them."""
    if not {"x", "y"} <= set(context.coords) or not {"x", "y"} <= set(dataset.coords):
        same = all(dataset.sizes[axis] == context.sizes[axis] for axis in ("y", "x"))
        return dataset if same else None
    tolerance = 0.1 * pixel_size(context)
    try:
        return dataset.sel(
            y=context["y"].values, x=context["x"].values, method="nearest", tolerance=tolerance
        )
    except KeyError:
        return None


def _from_files(
    name: str,
    by_time: dict[np.datetime64, list[xr.Dataset]],
    context: xr.DataArray,
    lead_frames: int,
) -> xr.Dataset:
    parts = (_on_grid(dataset, context) for dataset in by_time.get(_reference_time(context), ()))
    found = next((part for part in parts if part is not None), None)
    if found is None:
        raise ObservationError(f"{name}: no forecast from {_reference_time(context)} on this grid")
    lead = (np.arange(1, lead_frames + 1) * time_step(context)).astype("timedelta64[ns]")
    missing = set(lead) - set(found["lead_time"].values)
    if missing:
        first = min(missing) / np.timedelta64(1, "m")
        raise ObservationError(f"{name}: no lead time of {first:g} min from {_reference_time(context)}")
    chosen = found[[NAME]].sel(lead_time=lead)
    return chosen.transpose("member", "lead_time", "y", "x").load()
