"""Hindcasts in one Zarr store, made start by start, each once: what was cut short goes on.

    precipitation_rate (forecast_reference_time, member, lead_time, y, x)    one file a start, one chunk a map
    depends_on (forecast_reference_time)                                     written last; 0: not made yet

Series of one product, place, grid and time step share these; where there are several, each has a group. What
a forecast depends on (observations, model, settings, code) is hashed: it is made anew where that has changed.
Whoever comes first lays out the store, whole; others check that theirs would be the same. So any number of
workers and commands can fill a store, and it is the same to the byte.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from ssldm.atomic import check_folder_output, offering_folder, replacing
from ssldm.errors import ObservationError, OutputError
from ssldm.forecast.dataset import ZARR, nowcast_dataset
from ssldm.forecast.encoding import START, hindcast_encoding, placed
from ssldm.forecast.writable import check_outside_of_stores, with_numbers_for_truth, writable
from ssldm.paths import check_no_source
from ssldm.radar.observations import NAME, time_step
from ssldm.report.code_identity import code_identity, digest, observed_hash
from ssldm.report.contestants import Forecaster, noted
from ssldm.report.hindcast_plan import HindcastPlan, Start
from ssldm.report.work import Work, kept_maker

_MARK, _SEED = "depends_on", "seed"
_METADATA = "zarr.json"


def check_hindcast_output(out: Path, archives: Sequence[str]) -> None:
    """Refuse what `lay_out` could not write to; for commands to call before they read anything.

    Raises:
        OutputError: a name that does not end in `.zarr`, a place that cannot be written to or is inside of a
            store, or one of the archives.
    """
    if out.suffix != ZARR:
        raise OutputError(f"{out}: expected a name ending in {ZARR}")
    check_outside_of_stores(out)
    check_folder_output(out, lambda _: True)
    check_no_source(out, archives)


def make_hindcasts(
    plan: HindcastPlan, starts: Sequence[Start], work: Work
) -> Iterator[tuple[Start, tuple[str, ...]]]:
    """Make what is missing of some forecasts; yields each, with the remarks on it, when it is there.

    Args:
        plan: what to make; its store is laid out, see `lay_out`.
        starts: of which.
        work: how, such as `ssldm.report.work.in_processes`.

    Raises:
        ObservationError: starts of which no forecast can be made; the others are.
    """
    yield from work(partial(make_start, plan.absolute()), starts)


def make_start(plan: HindcastPlan, start: Start) -> tuple[str, ...]:
    """Make a forecast in this process, if it is missing, on one thread; returns the remarks on it."""
    with dask.config.set(scheduler="synchronous"):
        return kept_maker(plan, HindcastMaker).make(start)


class HindcastMaker:
    """Makes one forecast of a store after the other.

    Args:
        plan: what to make.
    """

    def __init__(self, plan: HindcastPlan) -> None:
        self.plan = plan

    @cached_property
    def _series(self) -> list[xr.DataArray]:
        return self.plan.series()

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return {**self.plan.model.identity(), "store": code_identity(__name__)}

    @cached_property
    def _forecaster(self) -> Forecaster:
        return self.plan.model.load()

    def make(self, start: Start) -> tuple[str, ...]:
        """Make a forecast, unless it is there as it would be made now; returns the remarks on it.

        Raises:
            ObservationError: what the model raises, or lead times other than those of the store.
        """
        plan = self.plan
        context = start.context(self._series, plan.context_frames).load()
        depends_on = digest([self._identity, observed_hash(context), plan.lead_frames])
        mark = np.uint64(int(depends_on, 16))
        group = zarr.open_group(plan.out, path=start.group, mode="r+", use_consolidated=False)
        marks = group[_MARK]
        found = marks[start.place]
        if found == mark:
            return ()
        forecast, notes = noted(self._forecaster, context, plan.lead_frames)
        values = writable(forecast)[NAME].values
        _check_lead_times(group["lead_time"][:], forecast)
        if found:  # half of it would be of either
            marks[start.place] = 0
        group[NAME][start.place] = values
        marks[start.place] = mark
        return notes


def lay_out(
    plan: HindcastPlan, series: Sequence[xr.DataArray], groups: Mapping[str, Sequence[Start]]
) -> None:
    """Make the store without a forecast, or check that the one that is there is for the same forecasts.

    Attributes and seeds of one that is there become those of this plan.

    Args:
        plan: what the store is for.
        series: of its archives.
        groups: see `ssldm.report.hindcast_plan.starts_by_group`.

    Raises:
        OutputError: something else is there.
    """
    with offering_folder(plan.out, partial(_adopt, plan.out)) as aside:
        zarr.open_group(aside, mode="w", zarr_format=3)
        for name, starts in groups.items():
            dataset = _layout(plan, series, starts)
            dataset.to_zarr(
                aside,
                group=name or None,
                mode="a",
                encoding=hindcast_encoding(dataset) | {_MARK: {"chunks": (1,)}},
                compute=False,
                consolidated=False,
                zarr_format=3,
            )
        _consolidate(aside)


def _consolidate(store: Path) -> None:
    """Put all metadata in one file, too, where xarray looks for them first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the third format does not know of it yet
        zarr.consolidate_metadata(store, zarr_format=3)


def _layout(plan: HindcastPlan, series: Sequence[xr.DataArray], starts: Sequence[Start]) -> xr.Dataset:
    """A group without a forecast: what a nowcast says, with a dimension more."""
    contexts = [start.context(series, plan.context_frames) for start in starts]
    one = _nowcast_to_be(plan, contexts[0])
    times = np.array([context["time"].values[-1] for context in contexts], "datetime64[ns]")
    seeds = np.array([plan.model.settings.seed_at(context) for context in contexts], np.int64)
    shape = (len(starts), *one[NAME].shape)
    coordinates = {
        START: (START, times, one[START].attrs),
        "valid_time": (
            (START, "lead_time"),
            times[:, None] + one["lead_time"].values,
            one["valid_time"].attrs,
        ),
        _SEED: (START, seeds, {"long_name": "seed of the ensemble"}),
    }
    whole = one.drop_vars([NAME, START, "valid_time"]).assign_coords(coordinates)
    rate = dask.array.full(shape, np.float32(np.nan), dtype=np.float32, chunks=shape)
    whole[NAME] = ((START, *one[NAME].dims), rate, one[NAME].attrs)
    mark = dask.array.zeros(len(starts), dtype=np.uint64, chunks=(1,))
    meaning = "hash of what the forecast depends on; 0: not made yet"
    whole[_MARK] = (START, mark, {"long_name": meaning})
    return with_numbers_for_truth(placed(whole))


def _nowcast_to_be(plan: HindcastPlan, context: xr.DataArray) -> xr.Dataset:
    """A forecast without its values."""
    settings = plan.model.settings
    dataset = nowcast_dataset(
        np.broadcast_to(np.float32(np.nan), (settings.members, plan.lead_frames, *context.shape[1:])),
        context,
        time_step(context),
        source=plan.model.source,
        seed=settings.seed,
        settings="",
        paired=plan.model.paired,
    )
    asked = (
        f"--members {settings.members} --steps {settings.steps} --seed {settings.seed} "
        f"--sampler {settings.sampler}"
    )
    # Of one forecast, not of all.
    for name in ("input_notes", _SEED):
        dataset.attrs.pop(name, None)
    return dataset.assign_attrs(
        title="Ensemble hindcasts of rain rate",
        history=f"ssldm {version('ssldm')} hindcast {asked}; model {plan.model.source}",
    )


def _check_lead_times(expected: NDArray[np.float64], forecast: xr.Dataset) -> None:
    """Refuse a forecast of other lead times, in minutes, than those of the store."""
    found = forecast["lead_time"].values / np.timedelta64(1, "m")
    if not np.array_equal(expected.round(6), found.round(6)):
        raise ObservationError(
            f"expected the store's lead times from {expected[0]:g} to {expected[-1]:g} min, "
            f"found {found[0]:g} to {found[-1]:g}"
        )


def _adopt(out: Path, layout: Path) -> None:
    """Go on with the store at ``out``, whose layout has to be the given one but for attributes and seeds."""
    files = [path.relative_to(layout) for path in layout.rglob("*") if path.is_file()]
    for file in files:
        if not (out / file).is_file() or _shape(out / file) != _shape(layout / file):
            raise OutputError(
                f"{out}: expected nothing there, or hindcasts of the same starts, grid, members and lead "
                f"times, found something else ({file} differs)"
            )
    for file in files:
        if (new := (layout / file).read_bytes()) != (out / file).read_bytes():
            with replacing(out / file) as aside:
                aside.write_bytes(new)


def _shape(file: Path) -> Any:
    """What must not change in a file of a store: metadata less attributes, coordinates less the seed."""
    content = file.read_bytes()
    if file.parts[-3:-1] == (_SEED, "c"):
        return None
    return _without_attributes(json.loads(content)) if file.name == _METADATA else content


def _without_attributes(metadata: Any) -> Any:
    if not isinstance(metadata, dict):
        return metadata
    return {name: _without_attributes(value) for name, value in metadata.items() if name != "attributes"}
