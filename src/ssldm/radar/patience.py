"""Asking again what failed: of a hundred requests through a network one or two do, and then succeed.

What a server says is not there, or not to be had, is believed at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

_ATTEMPTS = 6
_FIRST_PAUSE_SECONDS = 0.1
# Answers that put the blame on the client, but may be others a moment later.
_PASSING = {408, 425, 429}
_FINAL = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, LookupError, ValueError)

T = TypeVar("T")


def patiently(action: Callable[[], T]) -> T:
    """Do what may fail for a moment; the last failure is raised."""
    for pause in _pauses():
        try:
            return action()
        except Exception as error:
            if not may_pass(error):
                raise
        time.sleep(pause)
    return action()


async def awaited_patiently(action: Callable[[], Awaitable[T]]) -> T:
    """The same of what is awaited."""
    for pause in _pauses():
        try:
            return await action()
        except Exception as error:
            if not may_pass(error):
                raise
        await asyncio.sleep(pause)
    return await action()


def may_pass(error: Exception) -> bool:
    """Whether an error may be gone a moment later."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in _PASSING
    return not isinstance(error, _FINAL)


def _pauses() -> Iterator[float]:
    """Seconds after each attempt but the last, doubled each time."""
    return (_FIRST_PAUSE_SECONDS * 2**number for number in range(_ATTEMPTS - 1))
