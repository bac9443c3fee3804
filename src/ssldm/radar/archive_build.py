"""`build_archive`: native radar files of any number into one archive."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.config import Config
from ssldm.errors import ConfigurationError, ObservationError, SsldmError
from ssldm.radar.archive_growth import grown, merged_attributes
from ssldm.radar.archive_store import Frame, Series, collect, lay_aside, series_key, write_store
from ssldm.radar.archive_target import Target, check_new, target_of
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.isolation import in_a_process, process_pool
from ssldm.radar.joining import sums_overlap
from ssldm.radar.lock import locked
from ssldm.radar.open import loaded, read_item
from ssldm.radar.provenance import provenance
from ssldm.radar.regrid import Regridding
from ssldm.radar.simulation import simulate
from ssldm.radar.sources import Item, Source, resolve
from ssldm.radar.splits import EVENT_GAP

Progress = Callable[[Iterable[Any], int], Iterable[Any]]

_THREADS = 2
_POOL_BYTES = 1 << 29
_BYTES_A_PIXEL = 24
# Of what is laid aside; raised when it changes, so that nothing of an earlier version is gone on with.
_LAYOUT = 2
# From 2000 on; nanoseconds end in 2262.
_MOST_DAYS = 95_000


class BuildOptions(Config):
    """What goes into an archive and how.

    Attributes:
        format: name of the format of all files; None recognises each.
        read: how files are turned into rain rates.
        start, end: first and last time to take, both included, ISO 8601, UTC.
        regrid: crop, projection, resolution and time step.
        strict: let the first file that cannot be read end the build.
    """

    format: str | None = None
    read: ReadOptions = ReadOptions()
    start: str | None = None
    end: str | None = None
    regrid: Regridding = Regridding()
    strict: bool = False


@dataclass(frozen=True)
class Refusal:
    """A file that could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """What a build did."""

    series: list[Series]
    refused: list[Refusal] = field(default_factory=list)
    resumed: int = 0

    def lines(self) -> Iterator[str]:
        """The summary for people, one line a finding."""
        for series in self.series:
            label = series.group or series.template.attrs["product"]
            yield f"{label}: {len(series.frames)} frames, {series.gaps} gaps ({len(series.missing)} times)"
            if series.identical or series.conflicting:
                yield (
                    f"{label}: {series.identical} frames came twice with the same values, "
                    f"{series.conflicting} with others (the first was kept)"
                )
            if series.not_later:
                yield f"{label}: {series.not_later} frames not later than the archive's last were left out"
            if sums_overlap(series.times, series.template.attrs.get("accumulation_minutes")):
                yield f"{label}: its sums overlap, so that each frame is a mean over several steps"
            if series.template.attrs.get("license", "unknown") == "unknown":
                yield f"{label}: its licence is not known; state it with --attribute license=SPDX-IDENTIFIER"
        for refusal in self.refused:
            yield f"refused {refusal.reason}"


def build_archive(
    sources: Source,
    out: Path | str,
    options: BuildOptions | None = None,
    *,
    append: bool = False,
    attributes: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: Progress = lambda items, _: items,
) -> Summary:
    """Write radar files as an archive; it appears only when it is complete.

    Whenever a build that appends ends, the archive reads as it was before, or as it is to be. A build that
    was cut short goes on where it stopped when it is called again with the same options. Each product,
    place and grid becomes a series: a lone one at the root of the store, several in groups.

    Args:
        sources: what `open_radar` takes.
        out: the store to make, a path or a URL that fsspec writes to.
        append: add the frames that are later than the archive's own to the archive at ``out``.
        options: what to take of the files and how.
        attributes: of the archive, over those that it gets by itself (licence, creator, provenance).
        workers: processes; a file that crashes its reader is then refused like any other. None reads in this
            process, with threads.
        progress: wraps the iteration over a known number of files.

    Raises:
        OutputError: a name of another kind of file, or a place that cannot be written to.
        ObservationError: the store exists, or none that can be appended to; no file can be read, or there is
            nothing in the period.
    """
    target = target_of(out)
    if not append:
        check_new(target)
    elif not target.exists():
        raise ObservationError(f"expected an archive to append to, found none at {target.place}")
    options = options or BuildOptions()
    items = resolve(sources)
    with locked(target.aside):
        series, refused, resumed = _laid_aside(items, target.aside, options, workers, progress)
        found = provenance(options.model_dump_json(exclude_defaults=True), len(items))
        found["refused_files"] = json.dumps([asdict(refusal) for refusal in refused])
        if append:
            series, found = grown(target.place, series), merged_attributes(target.place, found)
        _publish(series, target, found | dict(attributes or {}), append=append)
    return Summary(series, refused, resumed)


def _laid_aside(
    items: Sequence[Item], aside: Path, options: BuildOptions, workers: int | None, progress: Progress
) -> tuple[list[Series], list[Refusal], int]:
    """The frames of all files, laid aside; the files that were refused; and how many were done before."""
    journal = _Journal(aside, options)
    names = {item: journal.name(item) for item in items}
    todo = [item for item in items if names[item] not in journal.done]
    resumed = len(items) - len(todo)
    take = partial(_take, options=options, folder=aside / "frames")
    refused = []
    try:
        for item, result in progress(_work(take, {item: names[item] for item in todo}, workers), len(todo)):
            if not isinstance(result, Refusal):
                journal.add(names[item], result)
            elif options.strict or len(items) == 1:
                raise ObservationError(result.reason)
            else:
                refused.append(result)
        frames = [frame for item in items for frame in journal.done.get(names[item], ())]
        if refused and not frames:
            raise ObservationError(f"expected radar files, refused all {len(refused)}: {refused[0].reason}")
        if not frames:
            raise ObservationError("expected frames in the period and at the steps asked for, found none")
    except SsldmError:
        if not any(journal.done.values()):
            shutil.rmtree(aside, ignore_errors=True)
        raise
    return collect(aside / "frames", frames), refused, resumed


def build_simulated(
    out: Path | str,
    events: int,
    frames: int = 48,
    shape: tuple[int, int] = (256, 256),
    *,
    seed: int = 0,
    progress: Progress = lambda items, _: items,
    **simulation: Any,
) -> None:
    """Write an archive of simulated storms, a day apart (days, if they are long); memory holds one storm.

    The day follows from the seed, so that archives of other storms have other times.

    Args:
        out: the store to make, a path or a URL that fsspec writes to.
        events, frames, shape: number of storms, and frames, rows and columns of each.
        seed: of the first storm; the next have the next seeds.
        progress: wraps the iteration over storms.
        simulation: further arguments of `ssldm.simulate`.

    Raises:
        OutputError: a name of another kind of file, or a place that cannot be written to.
        ObservationError: the store exists.
        ConfigurationError: days beyond what times in nanoseconds reach.
    """
    target = target_of(out)
    check_new(target)
    aside = target.aside
    with locked(aside):
        laid: list[Frame] = []
        days = -1
        for event in progress(range(events), events):
            storm = simulate(frames, shape, seed=seed + event, **simulation)
            if days < 0:
                length = storm["time"].values[-1] - storm["time"].values[0] + EVENT_GAP
                days = int(length // np.timedelta64(1, "D")) + 1
                if (seed + events) * days > _MOST_DAYS:
                    raise ConfigurationError(
                        f"expected storms of {_MOST_DAYS} days at most, counted from seed 0, "
                        f"found {events} of {days} from seed {seed}"
                    )
            storm = storm.assign_coords(time=storm["time"] + np.timedelta64((seed + event) * days, "D"))
            storm.attrs["seed"] = seed
            laid += lay_aside(aside / "frames", storm, series_key(storm), str(event), shape[0] * shape[1])
        series = collect(aside / "frames", laid)
        _publish(series, target, provenance(f"{events} simulated storms", 0))


def _publish(
    series: Sequence[Series], target: Target, attributes: Mapping[str, str], *, append: bool = False
) -> None:
    """Write the store aside, then put it in its place and remove what it was made of."""
    write_store(target.aside / "store", target.aside / "frames", series, attributes)
    if append:
        target.add(target.aside / "store")
    else:
        target.publish(target.aside / "store")
    shutil.rmtree(target.aside)


class _Journal:
    """Which files are done and what they gave, one line each, so that a later call can go on."""

    def __init__(self, folder: Path, options: BuildOptions) -> None:
        self.path = folder / "journal"
        self.done: dict[str, list[Frame]] = {}
        identity = f"{_LAYOUT} {options.model_dump_json()}"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        if not lines or lines[0] != identity:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self.path.write_text(f"{identity}\n")
            lines = [identity]
        for line in lines[1:]:
            try:
                name, frames = json.loads(line)
            except ValueError:  # the line that was being written when the build was cut short
                continue
            self.done[name] = [Frame(*frame) for frame in frames]

    @staticmethod
    def name(item: Item) -> str:
        """A file's name that no other file of a build shares."""
        from hashlib import sha256

        return sha256(item.url.encode()).hexdigest()[:20]

    def add(self, name: str, frames: Sequence[Frame]) -> None:
        self.done[name] = list(frames)
        with self.path.open("a") as file:
            file.write(json.dumps([name, [list(asdict(frame).values()) for frame in frames]]) + "\n")


def _take(item: Item, name: str, *, options: BuildOptions, folder: Path) -> list[Frame] | Refusal:
    """Lay aside the frames of one file; a file that cannot be read is refused."""
    frames: list[Frame] = []
    try:
        for number, piece in enumerate(read_item(item, options.read, options.format)):
            pixels = piece.sizes["y"] * piece.sizes["x"]
            for i, frame in enumerate(_frames(piece, item, options)):
                frames += lay_aside(folder, frame, series_key(frame), f"{name}-{number}-{i}", pixels)
    except ObservationError as error:
        return Refusal(item.url, str(error))
    return frames


def _frames(piece: xr.DataArray, item: Item, options: BuildOptions) -> Iterator[xr.DataArray]:
    """The frames wanted of a piece, one at a time: a file may hold a whole archive."""
    if options.start is not None or options.end is not None:
        piece = piece.sel(time=slice(_time(options.start), _time(options.end)))
    count = piece.sizes["time"]
    for i in range(count):
        frame = options.regrid(loaded(piece if count == 1 else piece.isel(time=slice(i, i + 1)), item))
        if frame.sizes["time"]:
            yield frame


def _time(text: str | None) -> np.datetime64 | None:
    return None if text is None else np.datetime64(text, "ns")


Result = list[Frame] | Refusal
Take = Callable[[Item, str], Result]


def _work(take: Take, names: Mapping[Item, str], workers: int | None) -> Iterator[tuple[Item, Result]]:
    """Results in any order. The first file goes alone, to see how many fit into memory at a time."""
    left = dict(names)
    affordable = 1
    while left:
        queue = iter(list(left.items()))
        waiting: dict[Future[Result], Item] = {}
        try:
            with _executor(workers) as (pool, size):
                while left:
                    # Two for each worker, so that none waits for its next, where memory allows it.
                    most = 2 * size if affordable >= size else affordable
                    for item, name in islice(queue, max(most - len(waiting), 0)):
                        waiting[pool.submit(take, item, name)] = item
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        item = waiting.pop(future)
                        affordable = _affordable(result) or affordable
                        del left[item]
                        yield item, result
        except BrokenProcessPool:
            # A file crashed its reader; if it was not alone, each in hand goes again in a process of its own.
            alone = len(waiting) == 1
            for item in waiting.values():
                name = left.pop(item)
                yield item, _crashed(item) if alone else _isolated(take, item, name)


@contextmanager
def _executor(workers: int | None) -> Iterator[tuple[Executor, int]]:
    """Processes, or where none were asked for two threads, of which one compresses while the other reads."""
    if workers is None:
        with ThreadPoolExecutor(_THREADS) as threads:
            yield threads, _THREADS
    else:
        with process_pool(workers) as processes:
            yield processes, workers


def _affordable(result: Result) -> int:
    """How many files may be in memory at a time, judged by the last one; 0 where it says nothing."""
    if isinstance(result, Refusal) or not result:
        return 0
    return max(1, _POOL_BYTES // (_BYTES_A_PIXEL * max(frame.pixels for frame in result)))


def _isolated(take: Take, item: Item, name: str) -> Result:
    try:
        return in_a_process(partial(take, item, name))
    except BrokenProcessPool:
        return _crashed(item)


def _crashed(item: Item) -> Refusal:
    return Refusal(item.url, f"{item.url}: damaged, its reader crashed or never ended")
