"""One domain of a service: each of its frames is kept, scored by, and answered with a cycle."""

import logging
from time import monotonic
from typing import Any

import numpy as np
import xarray as xr

from ssldm.forecast.nowcaster import Nowcaster
from ssldm.radar.context import LOOKED_AT
from ssldm.service.alarms import Alarms
from ssldm.service.calibration import calibration_of
from ssldm.service.config import DomainConfig, ServiceConfig
from ssldm.service.cycle import Answer, Cycles, offered, unanswered
from ssldm.service.skill import KIND, recent, score_frame
from ssldm.service.status import Status
from ssldm.service.store import Record, Store
from ssldm.service.times import Clock, iso, seconds_of, span_of, stamp_of, time_of
from ssldm.service.watch import Watch

_log = logging.getLogger(__name__)
# Of the time between frames that their cycles may take together, so that none has to wait for long.
_OF_INTERVAL = 0.9


class Domain:
    """What is watched and forecast of one domain.

    Args:
        domain: which.
        config: of the service.
        store: to keep it in.
        clock: the time.
        nowcaster: the model, warm.
    """

    def __init__(
        self, domain: DomainConfig, config: ServiceConfig, store: Store, clock: Clock, nowcaster: Nowcaster
    ) -> None:
        self.name = domain.name
        self._domain, self._config, self._store, self._clock = domain, config, store, clock
        step = nowcaster.config.step_minutes * 60.0
        self._context = nowcaster.config.context_frames
        periods = [*config.periods, *(rule.period for rule in domain.alarms if rule.period is not None)]
        longest = max(seconds_of(each) for each in (*periods, config.catch_up))
        self.watch = Watch(domain, LOOKED_AT * self._context + int(longest // step))
        self._cycles = Cycles(domain, config, nowcaster)
        self._alarms = Alarms(store, domain.name, domain.alarms)
        self._seen: dict[np.datetime64, float] = {}
        self._offered = False
        store.sweep(domain.name)

    def round(self, status: Status) -> bool:
        """Keep what is new, and answer the newest frame that is not; whether there was one."""
        now = monotonic()
        frames = self.watch.look(self._clock.now())
        if frames is None:
            return False
        times = frames["time"].values
        self._seen = {time: self._seen.get(time, now) for time in times}
        self._keep(frames)
        answered = [cycle["cycle"] for cycle in self._store.cycles(self.name)]
        self._give_up(times, answered)
        due = self._due(times, answered)
        status.queue[self.name] = len(due)
        if not due:
            return False
        answer = self._answer(frames, due[-1])
        status.cycles += 1
        status.degraded += answer.summary["degraded"]
        return True

    def _keep(self, frames: xr.DataArray) -> None:
        """Put new frames into the store, score by them, and let go of what is old."""
        known = set(self._store.frames(self.name))
        times = frames["time"].values
        oldest = times[-1] - span_of(self._config.keep)
        new = [n for n, time in enumerate(times) if time >= oldest and stamp_of(time) not in known]
        if new:  # first, as the disk may be full
            self._store.drop_before(self.name, oldest)
        for number in new:
            frame = frames.isel(time=number).load()
            stamp = stamp_of(times[number])
            score = score_frame(self._store, self.name, frame, self._config.thresholds)
            self._store.put_record(self.name, KIND, stamp, score)
            self._alarms.on_frame(frames.isel(time=slice(None, number + 1)))
            self._store.put_frame(self.name, stamp, frame)

    def _give_up(self, times: Any, answered: list[str]) -> None:
        """Say of frames that have waited for too long that they get no forecast."""
        oldest = stamp_of(times[-1] - span_of(self._config.catch_up))
        left = [stamp for stamp in self._store.frames(self.name) if stamp <= oldest and stamp not in answered]
        # Those before the first of all cycles were there before the service was.
        for stamp in left if answered else ():
            time = time_of(stamp)
            if stamp > answered[0] and time is not None:
                reason = f"it was older than {self._config.catch_up} when there was time for it"
                waited = monotonic() - self._seen.get(time, monotonic())
                self._publish(unanswered(time, reason, self._domain.members), waited)

    def _due(self, times: Any, answered: list[str]) -> list[np.datetime64]:
        """Frames that no cycle has answered, oldest first; the first of all have none before them."""
        since = times[-1] - span_of(self._config.catch_up)
        later = times[self._context - 2 :]
        return [time for time in later if time > since and stamp_of(time) not in answered]

    def _answer(self, frames: xr.DataArray, time: np.datetime64) -> Answer:
        budget = seconds_of(self._config.budget)
        left = budget - (monotonic() - self._seen[time])
        step = np.median(np.diff(frames["time"].values)) / np.timedelta64(1, "s")
        interval = _OF_INTERVAL * float(step) / self._clock.speed / len(self._config.domains)
        try:
            answer = self._cycles.answer(frames, time, min(left, interval), self._calibration(time))
        except MemoryError:
            answer = unanswered(time, "not enough memory", self._domain.members)
        except Exception as error:  # noqa: BLE001  # one frame must not stop the others
            _log.exception("a cycle failed", extra={"domain": self.name, "cycle": stamp_of(time)})
            answer = unanswered(time, f"internal error ({type(error).__name__})", self._domain.members)
        if answer.forecast is not None:
            if not self._offered:
                self._store.put_about(self.name, offered(answer.forecast, self._config, self._domain))
                self._offered = True
            if answer.summary["state"] != "extrapolation":  # which has no probabilities
                self._alarms.on_forecast(answer.forecast, frames.sel(time=slice(None, time)))
        self._publish(answer, monotonic() - self._seen[time])
        return answer

    def _calibration(self, time: np.datetime64) -> Record | None:
        """What the last hours before a frame ask for, if that is asked for."""
        if not self._config.calibrate:
            return None
        return calibration_of(recent(self._store.records(self.name, KIND), time))

    def _publish(self, answer: Answer, latency: float) -> None:
        """Put an answer into the store, so many seconds after its frame came."""
        summary, budget = answer.summary, seconds_of(self._config.budget)
        if latency > budget:
            summary["reasons"].append(f"{latency:.0f} s after its frame, later than {budget:.0f} s")
        summary["degraded"] = summary["state"] != "full" or bool(summary["reasons"])
        summary |= {"latency_seconds": round(latency, 2), "published": iso(np.datetime64("now"))}
        self._store.put_cycle(self.name, summary, answer.forecast, answer.sample)
        told = ("cycle", "state", "members", "seconds", "latency_seconds", "reasons")
        _log.info("cycle", extra={"domain": self.name, **{name: summary[name] for name in told}})
