"""A folder that one process works in at a time; the lock ends with the process, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ssldm.errors import ObservationError

_held: set[int] = set()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder, and keep other builds out of it.

    Raises:
        ObservationError: another build works in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ObservationError(f"another build of the same archive is working in {folder}") from error
    _held.add(descriptor)
    _let_go_in_children()
    try:
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


@cache
def _let_go_in_children() -> None:
    """A forked worker would hold the lock for as long as it outlives a parent that was killed."""
    os.register_at_fork(after_in_child=_let_go)


def _let_go() -> None:
    while _held:
        os.close(_held.pop())
