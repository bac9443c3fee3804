"""Reading in another process: the HDF5 library and others crash on some damaged files."""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.open import open_radar
from ssldm.radar.sources import Source
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


def open_isolated(
    source: Source, *, until: np.datetime64 | None = None, frames: int | None = None
) -> xr.DataArray:
    """`open_radar` for commands: a file that crashes its reader is an error like any other.

    Args:
        source: what `open_radar` takes.
        until: last time to take.
        frames: take so many, the last ones, at most.

    Raises:
        ObservationError: what `open_radar` raises, and a crash.
    """
    try:
        return in_a_process(partial(_opened, source, until, frames))
    except BrokenProcessPool as error:
        named = source if isinstance(source, str | Path) else ", ".join(map(str, source))
        raise ObservationError(f"{named}: damaged, its reader crashed or never ended") from error


def _opened(source: Source, until: np.datetime64 | None, frames: int | None) -> xr.DataArray:
    data = open_radar(source).sel(time=slice(None, until))
    return data.isel(time=slice(-frames if frames else None, None)).load()
