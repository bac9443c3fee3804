"""A limit on how long a worker process may take over a file: some damaged files never end."""

import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import wait
from typing import TypeVar

T = TypeVar("T")

# Of processor time, so that a slow network costs nothing; the largest composites take two.
_SECONDS = 6.0
_armed = threading.Event()


def begin_worker() -> None:
    """What a worker process does first: arm the limit, and end itself when its parent has ended.

    A forked process has none of its parent's threads, and dask would wait for them.
    """
    import dask

    dask.config.set(scheduler="synchronous")
    _armed.set()
    end_with_parent()


def end_with_parent() -> None:
    """End this process as soon as the one that began it has ended, however that was."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def watched(pieces: Iterator[T]) -> Iterator[T]:
    """The same pieces; in a worker, the process is killed if the first takes too much processor time.

    Outside of worker processes, and where the system has no such timers, nothing is limited.
    """
    if not (_armed.is_set() and hasattr(signal, "setitimer")):
        yield from pieces
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        first = next(pieces, None)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
    if first is not None:
        yield first
        yield from pieces


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
