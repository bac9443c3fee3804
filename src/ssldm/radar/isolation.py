"""Reading in another process: the HDF5 library and others crash on some damaged files."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.newest import Wanted, read_newest
from ssldm.radar.open import loaded, open_radar, read_item
from ssldm.radar.sources import Item, Source
from ssldm.radar.watchdog import begin_worker

T = TypeVar("T")


def process_pool(
    workers: int, *, fresh: bool = False, prepare: Callable[[], None] | None = None
) -> ProcessPoolExecutor:
    """Processes that end with this one.

    Args:
        workers: how many.
        fresh: start them anew; else they are forked on Linux, which costs nothing.
        prepare: what each does first.
    """
    context = get_context("fork" if sys.platform == "linux" and not fresh else "spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(prepare,))


def _begin(prepare: Callable[[], None] | None) -> None:
    begin_worker()
    if prepare is not None:
        prepare()


def in_a_process(work: Callable[[], T]) -> T:
    """The result of ``work``, done in a process of its own.

    Raises:
        BrokenProcessPool: the process crashed.
    """
    with process_pool(1) as pool:
        return pool.submit(work).result()


def open_isolated(source: Source) -> xr.DataArray:
    """`open_radar` for commands: a file that crashes its reader is an error like any other.

    Raises:
        ObservationError: what `open_radar` raises, and a crash.
    """
    try:
        return in_a_process(partial(_opened, source))
    except BrokenProcessPool as error:
        raise crash_of(source) from error


def newest_isolated(
    source: Source,
    wanted: Wanted,
    options: ReadOptions | None = None,
    format: str | None = None,  # noqa: A002
) -> xr.DataArray:
    """`read_newest` for commands: a file that crashes its reader is one that cannot be read.

    Raises:
        ObservationError: what `read_newest` raises, and a crash.
    """
    try:
        return in_a_process(partial(read_newest, source, wanted, options, format))
    except BrokenProcessPool as error:
        if not wanted.skip_damaged:
            raise crash_of(source) from error

    def alone(item: Item) -> list[xr.DataArray]:
        try:
            return in_a_process(partial(pieces_of, item, options, format))
        except BrokenProcessPool as error:
            raise crash_of(item.url) from error

    return read_newest(source, wanted, options, format, read=alone)


def crash_of(source: Source) -> ObservationError:
    """What to raise of files that crash their reader."""
    named = source if isinstance(source, str | os.PathLike) else ", ".join(map(str, source))
    return ObservationError(f"{named}: damaged, its reader crashed or never ended")


def _opened(source: Source) -> xr.DataArray:
    return open_radar(source).load()


def pieces_of(item: Item, options: ReadOptions | None, name: str | None) -> list[xr.DataArray]:
    """All that `read_item` reads of a file, in memory."""
    return [loaded(piece, item) for piece in read_item(item, options, name)]
