"""Measurements in turn, and the rows that the table of a benchmark is made of."""

import gc
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_KIB_A_GIB = 2**20


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        part: of the benchmark.
        what: was measured.
        value: median of the runs, or what follows from such medians; None where there is nothing to measure.
        unit: of the value; "" for a plain number.
        runs: what the median is of, in order.
        remark: what a reader has to know besides.
    """

    part: str
    what: str
    value: float | None
    unit: str = "s"
    runs: tuple[float, ...] = ()
    remark: str = ""

    @classmethod
    def median(cls, part: str, what: str, runs: Sequence[float], unit: str = "s", remark: str = "") -> "Row":
        """The row of some runs."""
        return cls(part, what, float(np.median(runs)), unit, tuple(map(float, runs)), remark)


@dataclass(frozen=True)
class Sizes:
    """How large everything is; the defaults are those of the published table.

    Attributes:
        side: of the square domain, in pixels.
        members, frames: of a forecast.
        sides, member_counts, frame_counts: along which growth is measured, one at a time.
        dutch, continental: rows and columns of the composites.
        product: side of the matrices whose product is the measure of arithmetic.
        width: channels of the published denoiser at its finest level.
    """

    side: int = 256
    members: int = 20
    frames: int = 16
    sides: tuple[int, ...] = (128, 256, 512, 768)
    member_counts: tuple[int, ...] = (4, 10, 20, 40)
    frame_counts: tuple[int, ...] = (4, 8, 16)
    dutch: tuple[int, int] = (765, 700)
    continental: tuple[int, int] = (2200, 1900)
    product: int = 4096
    width: int = 192


TINY = Sizes(
    side=64,
    members=2,
    frames=4,
    sides=(64, 96),
    member_counts=(2, 4),
    frame_counts=(2, 4),
    dutch=(96, 80),
    continental=(128, 112),
    product=256,
    width=32,
)


@dataclass(frozen=True)
class Options:
    """What a benchmark was asked for.

    Attributes:
        sizes: of everything.
        rounds: times that each contestant is measured; once more before, uncounted.
        model: shipped name or folder.
        device: that networks compute on.
        threads: of everything that computes.
        data: folder of radar files; what it lacks is simulated.
        continental_steps: whether STEPS forecasts the continental composite, too.
        work: folder for the files that forecasts start from.
    """

    sizes: Sizes
    rounds: int
    model: str
    device: str
    threads: int
    data: Path
    continental_steps: bool
    work: Path = field(default_factory=Path)


def in_turn(contestants: Mapping[str, Callable[[], T]], rounds: int, warm_up: int = 1) -> dict[str, list[T]]:
    """Results of contestants that run one after the other, round after round.

    Whatever else the machine does meanwhile, it does to all of them.
    """
    results: dict[str, list[T]] = {name: [] for name in contestants}
    for number in range(warm_up + rounds):
        for name, run in contestants.items():
            gc.collect()
            result = run()
            if number >= warm_up:
                results[name].append(result)
    return results


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The exponent p of time = c size^p, by least squares between the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def peak_memory() -> float:
    """The most memory that this process has held so far, in GiB.

    On Linux not by `resource.getrusage`: a process starts there with the peak of the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / _KIB_A_GIB
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # in bytes on macOS


def free_memory() -> float | None:
    """Memory that may be taken without swapping, in GiB; None where it is not known."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return None
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) / _KIB_A_GIB


def use_threads(count: int) -> None:
    """Let everything in this process compute on as many threads."""
    import cv2
    import threadpoolctl
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    threadpoolctl.threadpool_limits(count)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
