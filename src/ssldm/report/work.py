"""Tasks on items, each by itself, in processes of this machine; `ssldm.report.cluster` has them on a cluster.

What is made of an item does not depend on the others, nor on where and with how many others it is worked on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from ssldm.errors import ObservationError, SsldmError
from ssldm.radar.isolation import process_pool

_LISTED = 5


class Named(Protocol):
    """What is worked on.

    Attributes:
        name: unique among the items; in messages.
    """

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")
Plan = TypeVar("Plan")
Maker = TypeVar("Maker")

Work = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[Any, Any]]]
"""Does a task on items; yields each with what the task returned, when it is done."""


def in_processes(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Do a task on items in so many processes of this machine; yields each with its result when it is done.

    Raises:
        ObservationError: items on which the task raised an `SsldmError`, once the others are done; or a
            process that was killed.
    """
    failed: dict[str, BaseException] = {}
    # Fresh processes: a fork of one that has computed with torch may hang.
    with process_pool(min(workers, len(items)), fresh=True) as pool:
        try:
            futures = {pool.submit(task, item): item for item in items}
            for future in as_completed(futures):
                item = futures.pop(future)
                try:
                    result = future.result()
                except SsldmError as error:
                    failed[item.name] = error
                else:
                    yield item, result
        except BrokenProcessPool as error:
            raise ObservationError(
                "expected processes that live, found one killed; fewer --workers take less memory"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    check_none_failed(failed, len(items))


def check_none_failed(failed: Mapping[str, BaseException], count: int) -> None:
    """Tell what could not be done, at the end of the rest.

    Args:
        failed: the error of each item, by its name.
        count: of all items.

    Raises:
        ObservationError: there are such items; it lists the first of them.
    """
    if not failed:
        return
    told = {name: " ".join(str(error).split()) for name, error in list(failed.items())[:_LISTED]}
    listed = "; ".join(f"{name}: {text:.200}" for name, text in told.items())
    more = f" and {len(failed) - _LISTED} more" if len(failed) > _LISTED else ""
    raise ObservationError(f"{len(failed)} of {count} cannot be done: {listed}{more}")


_kept: tuple[object, Any] | None = None


def kept_maker(plan: Plan, begin: Callable[[Plan], Maker]) -> Maker:
    """What makes things of a plan in this process, kept for the next item; on one thread.

    Args:
        plan: what the maker is for; another plan begins another.
        begin: makes it.
    """
    global _kept  # noqa: PLW0603  # a process has one plan after another
    if _kept is None or _kept[0] != plan:
        import cv2
        import threadpoolctl

        cv2.setNumThreads(1)
        threadpoolctl.threadpool_limits(1)
        _kept = plan, begin(plan)
    maker: Maker = _kept[1]
    return maker
