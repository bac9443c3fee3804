"""What was made is kept, up to so many bytes; and it is made once, however many ask for it at once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Generic, TypeVar

from ssldm.service.refusals import BusyError

T = TypeVar("T")


class Cache(Generic[T]):
    """The most recently used of what was made.

    Args:
        most: sum of sizes that is kept.
        size: of one, in the unit of ``most``: bytes, or 1 each.

    Attributes:
        made: how many were made so far.
    """

    def __init__(self, most: int, size: Callable[[T], int] = lambda _: 1) -> None:
        self._most = most
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._used = 0
        self._coming: dict[Hashable, Future[T]] = {}
        self._lock = Lock()
        self.made = 0

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is kept under a key, or what ``make`` returns; others who ask meanwhile wait for it.

        Raises:
            Exception: what ``make`` raises, to all who wait; nothing is kept then.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
            coming = self._coming.get(key)
            mine: Future[T] | None = None
            if coming is None:
                mine = self._coming[key] = Future()
                self.made += 1
        if coming is not None:
            return coming.result()
        assert mine is not None
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._keep(key, value)
            del self._coming[key]
        mine.set_result(value)
        return value

    def kept(self, key: Hashable) -> T | None:
        """What is kept under a key."""
        with self._lock:
            found = self._kept.get(key)
            return None if found is None else found[0]

    def _keep(self, key: Hashable, value: T) -> None:
        size = self._size(value)
        self._kept[key] = (value, size)
        self._used += size
        while self._used > self._most and len(self._kept) > 1:
            _, (_, given_up) = self._kept.popitem(last=False)
            self._used -= given_up


class Gate:
    """Lets so many in at once, and as many again wait for a time; all others are refused.

    Args:
        count: how many.
        seconds: that one waits at most.
    """

    def __init__(self, count: int, seconds: float) -> None:
        self._inside = BoundedSemaphore(count)
        self._near = BoundedSemaphore(2 * count)
        self._seconds = seconds

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside.

        Raises:
            BusyError: there is no room.
        """
        if not self._near.acquire(blocking=False):
            raise BusyError("too many requests of this kind at once")
        try:
            if not self._inside.acquire(timeout=self._seconds):
                raise BusyError("too many requests of this kind at once")
            try:
                yield
            finally:
                self._inside.release()
        finally:
            self._near.release()
