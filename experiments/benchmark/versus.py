"""Forecasts beside those of STEPS: time and peak memory, each contestant in a process of its own."""

import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from benchmark.domains import FRAMES, Domain, continental_domain, dutch_domain, square_domain
from benchmark.measure import Options, Row, free_memory, in_turn, peak_memory, seconds, use_threads

PART = "versus"
OURS, STEPS = "ssldm", "STEPS"
# Of the memory that is free at the start, what one contestant may take.
_SHARE_OF_MEMORY = 0.9


@dataclass(frozen=True)
class Job:
    """One contestant on one domain; the attributes are those of `Options` and `Sizes`."""

    method: str
    path: Path
    members: int
    frames: int
    model: str
    device: str
    threads: int


@dataclass(frozen=True)
class Run:
    """Seconds of a forecast, and the peak memory in GiB before the first and after this one."""

    seconds: float
    before: float
    peak: float


class NotEnoughMemoryError(Exception):
    """A forecast that did not fit."""


def run_once(job: Job) -> Run:
    """One more forecast of a contestant, in its process."""
    forecast, before = _prepared(job)
    try:
        return Run(seconds(forecast), before, peak_memory())
    except (MemoryError, RuntimeError) as error:
        # Neither torch nor OpenCV raise a MemoryError.
        if isinstance(error, MemoryError) or "alloc" in str(error).lower() or "memory" in str(error).lower():
            raise NotEnoughMemoryError(str(error).splitlines()[0]) from None
        raise


@cache
def _prepared(job: Job) -> tuple[Callable[[], object], float]:
    """The forecast, ready to be made, and the peak memory till then."""
    from ssldm import Nowcaster, open_radar
    from ssldm.forecast.nowcaster import InputDepartsFromTraining
    from ssldm.verification.baselines import FellBack, Setting, steps

    use_threads(job.threads)
    warnings.simplefilter("ignore", InputDepartsFromTraining)
    warnings.simplefilter("error", FellBack)  # it would be quick
    observations = open_radar(job.path).load()
    if job.method == OURS:
        nowcaster = Nowcaster.from_pretrained(job.model, device=job.device)
        length = f"{5 * job.frames}min"
        forecast: Callable[[], object] = partial(
            nowcaster.nowcast, observations, members=job.members, lead_time=length
        )
    else:
        _let_steps_use(job.threads)
        setting = Setting.of(observations[-FRAMES:], lead_frames=job.frames, members=job.members, seed=0)
        forecast = partial(steps, setting)
    return forecast, peak_memory()


def _let_steps_use(threads: int) -> None:
    """The package's baseline computes its members one by one, as verification has the other cores."""
    from ssldm.verification.quiet_pysteps import pysteps_module

    module: Any = pysteps_module("nowcasts.steps")
    module.forecast = partial(_with_workers, module.forecast, threads)


def _with_workers(forecast: Callable[..., Any], threads: int, *arguments: Any, **named: Any) -> Any:
    return forecast(*arguments, **{**named, "num_workers": threads})


def _begin(gibibytes: float | None) -> None:
    """Fail, rather than bring the machine down, where memory is short."""
    if gibibytes is not None:
        import resource

        limit = int(gibibytes * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def measure(options: Options) -> list[Row]:
    """Time, ratio and peak memory on three domains."""
    rows = []
    for domain in (square_domain(options), dutch_domain(options)):
        rows += _beside(options, domain, (OURS, STEPS))
    everywhere = (OURS, STEPS) if options.continental_steps else (OURS,)
    rows += _beside(options, continental_domain(options), everywhere)
    if not options.continental_steps:
        rows.append(
            Row(PART, "STEPS, continental composite", None, remark="left out; --continental-steps runs it")
        )
    return rows


def _beside(options: Options, domain: Domain, methods: tuple[str, ...]) -> list[Row]:
    sizes, free = options.sizes, free_memory()
    limit = None if free is None else _SHARE_OF_MEMORY * free
    pools = {
        name: ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=(limit,))
        for name in methods
    }

    failed = set()

    def once(method: str) -> Run | None:
        if method in failed:
            return None
        job = Job(
            method, domain.path, sizes.members, sizes.frames, options.model, options.device, options.threads
        )
        try:
            return pools[method].submit(run_once, job).result()
        except (NotEnoughMemoryError, BrokenProcessPool):
            failed.add(method)
            return None

    try:
        runs = in_turn({name: partial(once, name) for name in methods}, options.rounds)
    finally:
        for pool in pools.values():
            pool.shutdown()
    rows, medians = [], {}
    for name, made in runs.items():
        done = [run for run in made if run is not None]
        if len(done) < len(made):
            short = "" if limit is None else f"; it may take {limit:.1f} GiB"
            rows.append(Row(PART, f"{name}, {domain.name}", None, remark=f"not enough memory{short}"))
            continue
        times = [run.seconds for run in done]
        medians[name] = float(np.median(times))
        rows.append(Row.median(PART, f"{name}, {domain.name}", times, remark=f"{sizes.members} members"))
        before = f"{done[0].before:.2f} GiB of it before the forecast"
        rows.append(Row(PART, f"peak memory of {name}, {domain.name}", done[-1].peak, "GiB", remark=before))
    if len(medians) == 2:
        ratio = medians[STEPS] / medians[OURS]
        rows.append(Row(PART, f"STEPS / ssldm, {domain.name}", ratio, "", remark="ratio of the medians"))
    return rows
