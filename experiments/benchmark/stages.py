"""How long the stages of a forecast take, timed inside of `Nowcaster.nowcast` itself.

The functions that do a stage are wrapped for the time of the measurement, so that what is timed is what users
run. A stage that is called by another counts for itself only.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from inspect import isgeneratorfunction
from typing import Any

import torch
from benchmark.domains import square_domain
from benchmark.measure import Options, Row, in_turn, seconds

from ssldm import Nowcaster, open_radar, write_nowcast

PART = "stages"
TRACKING, SEARCH, CARRY, EXPECTED = (
    "motion: tracking",
    "motion: dense search",
    "context carried",
    "expectation",
)
NOISE, DRAWN, POST, DATASET = "noise: paths, filters", "noise: drawn", "post-processing", "dataset"
_SET_UP = "set-up"
# Where a caller looks its function up, or the method itself.
STAGES = {
    TRACKING: ("ssldm.radar.motion:estimate_motion",),
    SEARCH: ("ssldm.radar.motion:mean_motion",),
    CARRY: ("ssldm.forecast.storm_ensemble:carried_frames",),
    EXPECTED: (
        "ssldm.model.storm_model:StormModel.expected",
        "ssldm.model.storm_model:StormModel.decode",
    ),
    NOISE: ("ssldm.forecast.storm_ensemble:StormNoise.__init__",),
    DRAWN: ("ssldm.forecast.noise:StormNoise.draw",),
    POST: ("ssldm.forecast.storm_ensemble:prepared",),
    DATASET: ("ssldm.forecast.nowcaster:nowcast_dataset",),
    _SET_UP: ("ssldm.forecast.storm_ensemble:StormEnsemble.__init__",),
}


_ENDED = object()


class Stopwatch:
    """Seconds of each stage, without those of the stages inside of it.

    Attributes:
        total: seconds by stage.
        ended: when a stage last ended, by `time.perf_counter`.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.total = dict.fromkeys(STAGES, 0.0)
        self.ended: dict[str, float] = {}
        self._inside: list[float] = []

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which adds its time to a stage."""

        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            begun = self._now()
            result = function(*arguments, **named)
            self.ended[stage] = self._now()
            spent = self.ended[stage] - begun
            self.total[stage] += spent - self._inside.pop()
            if self._inside:
                self._inside[-1] += spent
            return result

        return run

    def timed_items(
        self, stage: str, generator: Callable[..., Iterator[Any]]
    ) -> Callable[..., Iterator[Any]]:
        """A generator that adds the time of each of its items to a stage."""

        @wraps(generator)
        def run(*arguments: Any, **named: Any) -> Iterator[Any]:
            items = generator(*arguments, **named)
            following = self.timed(stage, partial(next, items, _ENDED))
            while (item := following()) is not _ENDED:
                yield item

        return run

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def timed_steps(self, prepared: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        """Preparation of the post-processing, whose steps are timed, too."""
        inner = self.timed(POST, prepared)
        return lambda *arguments: [self.timed(POST, step) for step in inner(*arguments)]

    def _wrapped(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if stage == POST:
            return self.timed_steps(function)
        if isgeneratorfunction(function):
            return self.timed_items(stage, function)
        return self.timed(stage, function)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Wrap the functions of all stages meanwhile."""
        replaced = []
        try:
            for stage, places in STAGES.items():
                for place in places:
                    owner, name = _owner(place)
                    function = getattr(owner, name)
                    replaced.append((owner, name, function))
                    setattr(owner, name, self._wrapped(stage, function))
            yield
        finally:
            for owner, name, function in replaced:
                setattr(owner, name, function)


def _owner(place: str) -> tuple[Any, str]:
    module, path = place.split(":")
    owner: Any = import_module(module)
    *parts, name = path.split(".")
    for part in parts:
        owner = getattr(owner, part)
    return owner, name


def measure(options: Options) -> list[Row]:
    """Stages of one forecast, in the order in which they run, and what sums them up."""
    sizes, domain = options.sizes, square_domain(options)
    observations = open_radar(domain.path).load()
    nowcaster = Nowcaster.from_pretrained(options.model, device=options.device)

    def forecast() -> dict[str, float]:
        watch = Stopwatch(options.device)
        with watch.watching():
            begun = time.perf_counter()
            made = nowcaster.nowcast(observations, members=sizes.members, lead_time=f"{5 * sizes.frames}min")
            whole = time.perf_counter() - begun
        times = dict(watch.total)
        if _SET_UP in watch.ended:
            conditions = watch.ended[_SET_UP] - begun
            times["conditions: all before the members"] = conditions
            times[f"{sizes.members} members: all after the conditions"] = whole - conditions - times[DATASET]
        times["whole forecast"] = whole
        times["NetCDF file"] = seconds(lambda: write_nowcast(made, options.work / "stages.nc"))
        return times

    measured = in_turn({"forecast": forecast}, options.rounds)["forecast"]
    what = f"{sizes.side}×{sizes.side}, {sizes.members} members, {sizes.frames} lead frames"
    if not any(_SET_UP in STAGES and run[_SET_UP] for run in measured):
        kept = [name for name in measured[0] if name not in STAGES or name == DATASET]
        remark = "its stages are not told apart: not a StormModel"
    else:
        kept, remark = [name for name in measured[0] if name != _SET_UP], what
    return [Row.median(PART, name, [run[name] for run in measured], remark=remark) for name in kept]
