"""The windows of an index as columns of numbers: ten years of them fit into memory.

A `WindowPart` holds the windows of some thousand frames of a series at one coarsening, twelve bytes each. A
`Window` is made when it is asked for.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ssldm.radar.block_counts import Shares

# Pixels from one window to the next, and sides of the blocks that wet and observed shares are of.
BLOCK = 64
# Runs of a part: each draw sums the probabilities of one.
_RUNS = 2048

# Wet and observed share ``(time, rows, columns)`` of the blocks of frames ``first`` to ``last``.
SharesOf = Callable[[int, int], Shares]


@dataclass(frozen=True)
class Window:
    """One window.

    Attributes:
        series, start: which series and its frame that the window begins with.
        row, column: of its upper left corner, on the coarsened grid.
        coarsening: side of the blocks of pixels that were averaged, see `ssldm.radar.regrid.coarsen`.
        number: its place in the index, or, where it was drawn, that of the one that it lies around.
        frames: how many frames there are; any more are unobserved.
        every: takes so many-th frame of the series.
    """

    series: int
    start: int
    row: int
    column: int
    coarsening: float
    number: int
    frames: int
    every: int = 1

    @property
    def times(self) -> range:
        """Its frames in the series."""
        return range(self.start, self.start + self.frames * self.every, self.every)


@dataclass(frozen=True)
class Runs:
    """Frames that follow each other without a gap, one run for each window in time.

    Attributes:
        starts, frames: first frame and number of frames of each.
        every: so many-th frame of the series is taken.
    """

    starts: NDArray[np.int64]
    frames: NDArray[np.int64]
    every: int

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, some: slice) -> "Runs":
        return Runs(self.starts[some], self.frames[some], self.every)

    def ranges(self) -> list[range]:
        """The frames of each."""
        pairs = zip(self.starts.tolist(), self.frames.tolist(), strict=True)
        return [range(start, start + count * self.every, self.every) for start, count in pairs]


@dataclass(frozen=True)
class WindowPart:
    """Windows of one series at one coarsening.

    Attributes:
        series, coarsening: of all of them.
        runs: of their frames.
        run: number of the run of each.
        tile: row × ``columns`` + column, in blocks, of each.
        columns: how many windows lie side by side.
        weight: of each; wet share, then importance, then probability.
    """

    series: int
    coarsening: float
    runs: Runs
    run: NDArray[np.uint16]
    tile: NDArray[np.uint16] | NDArray[np.uint32]
    columns: int
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weight)

    def window(self, position: int, number: int) -> Window:
        """The window at a position, with its number in the index."""
        run = int(self.run[position])
        row, column = divmod(int(self.tile[position]), self.columns)
        return Window(
            self.series,
            int(self.runs.starts[run]),
            row * BLOCK,
            column * BLOCK,
            self.coarsening,
            number,
            int(self.runs.frames[run]),
            self.runs.every,
        )


class Windows(Sequence[Window]):
    """All windows of some parts, one after the other."""

    def __init__(self, parts: Sequence[WindowPart]) -> None:
        self.parts = parts
        self._firsts = [0, *accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self._firsts[-1]

    def place(self, number: int) -> tuple[WindowPart, int]:
        """The part that a window is in, and its position there.

        Raises:
            IndexError: there are not so many.
        """
        if not -len(self) <= number < len(self):
            raise IndexError(f"expected a window below {len(self)}, found {number}")
        number %= len(self)
        part = bisect_right(self._firsts, number) - 1
        return self.parts[part], number - self._firsts[part]

    def at(self, part: int, position: int) -> Window:
        """The window at a position of a part, by its number."""
        return self.parts[part].window(position, self._firsts[part] + position)

    @overload
    def __getitem__(self, number: int) -> Window: ...
    @overload
    def __getitem__(self, number: slice) -> list[Window]: ...
    def __getitem__(self, number: int | slice) -> Window | list[Window]:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        part, position = self.place(number)
        return part.window(position, number % len(self))

    def __iter__(self) -> Iterator[Window]:
        for first, part in zip(self._firsts, self.parts, strict=False):
            yield from (part.window(position, first + position) for position in range(len(part)))


def parts_of(
    series: int, coarsening: float, runs: Runs, shares_of: SharesOf, *, size: int, observed: float
) -> Iterator[WindowPart]:
    """The windows of a series that are observed well enough, weighted by their wet share.

    Args:
        series, coarsening: which, and at what coarsening.
        runs: its windows in time.
        shares_of: of its blocks of `BLOCK` coarsened pixels.
        size: side of a window in coarsened pixels.
        observed: least share of observed pixels.
    """
    blocks = -(-size // BLOCK)
    for first in range(0, len(runs), _RUNS):
        some = runs[first : first + _RUNS]
        start = int(some.starts[0])
        end = int((some.starts + (some.frames - 1) * some.every).max()) + 1
        wet, seen = (_means(share, some, start, blocks) for share in shares_of(start, end))
        fitting = np.nonzero(seen >= observed)
        if len(fitting[0]):
            run, row, column = fitting
            columns = wet.shape[2]
            tile = (row * columns + column).astype(np.min_scalar_type(wet[0].size))
            yield WindowPart(series, coarsening, some, run.astype(np.uint16), tile, columns, wet[fitting])


def _means(share: NDArray[np.float32], runs: Runs, start: int, blocks: int) -> NDArray[np.float64]:
    """Means ``(run, row, column)`` over the frames of each run and squares of so many blocks."""
    rows, columns = (max(size - blocks + 1, 0) for size in share.shape[1:])
    total = np.zeros((len(runs), *share.shape[1:]))
    for number in range(int(runs.frames.max())):
        there = runs.frames > number
        frames = runs.starts + number * runs.every - start
        if there.all():  # as nearly always: half the time
            total += share[frames]
        else:
            total[there] += share[frames[there]]
    total /= runs.frames[:, None, None]
    found = np.empty((len(runs), rows, columns))
    for row in range(rows):
        for column in range(columns):
            # Each square by itself: sums are then rounded alike, whatever is beside it.
            square = total[:, row : row + blocks, column : column + blocks]
            square.mean(axis=(1, 2), out=found[:, row, column])
    return found
