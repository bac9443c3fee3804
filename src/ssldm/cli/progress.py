"""Progress bars with the time that is left."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def over_items(description: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """A wrapper for an iteration over a known number of items."""

    def wrap(items: Iterable[Any], count: int) -> Iterable[Any]:
        with _bar() as bar:
            yield from bar.track(items, total=count, description=description)

    return wrap


@contextmanager
def counting(description: str) -> Iterator[Callable[[int], Callable[[], None]]]:
    """A bar whose length is known only later: call it with the length, then what it returns at each step."""
    with ExitStack() as stack:

        def start(total: int) -> Callable[[], None]:
            bar = stack.enter_context(_bar())
            task = bar.add_task(description, total=total)
            return lambda: bar.advance(task)

        yield start
