"""Alarms: raised when rain is probable enough somewhere, and verified by what was observed there then."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from time import sleep
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import xarray as xr

from ssldm.errors import SsldmError
from ssldm.products import accessor  # noqa: F401  # forecast.ssldm
from ssldm.radar.observations import NAME
from ssldm.radar.times import usual_step
from ssldm.service.config import AlarmRule
from ssldm.service.store import Record, Store
from ssldm.service.times import iso, span_of, stamp_of, time_of

KIND = "alarms"
_log = logging.getLogger(__name__)
_KEPT = 200
# Share of the frames that must have been observed, for a verdict or an amount.
LEAST_SEEN = 0.8
_ATTEMPTS, _PAUSE_SECONDS, _POST_SECONDS = 3, 5.0, 5.0
_ZERO = np.timedelta64(0, "ns")


class Alarms:
    """The alarms of one domain; what is known of each rule is a record of the store.

    An alarm holds until the last lead time of the forecast that raised it, and is not raised again before. It
    is a hit if the threshold is reached until then, else a false alarm, or unknown if too many frames were
    missing.
    Where the threshold begins to be reached without an alarm that holds, it is a miss.

    Args:
        store, domain: where records go.
        rules: of the alarms.
        post: sends an alarm to an address.
    """

    def __init__(
        self,
        store: Store,
        domain: str,
        rules: tuple[AlarmRule, ...],
        post: Callable[[str, Record], None] | None = None,
    ) -> None:
        self._store, self._domain, self._rules = store, domain, rules
        self._post = post or _post_aside
        self._refused: set[str] = set()

    def on_forecast(self, forecast: xr.Dataset, frames: xr.DataArray) -> None:
        """Raise what a forecast asks for, if it is the newest.

        Args:
            forecast: members of a cycle.
            frames: ``(time, y, x)`` in mm/h, up to it.
        """
        start = forecast["forecast_reference_time"].values
        for rule in self._rules:
            record = self._record(rule)
            if record["last_cycle"] is not None and start <= _known_time(record["last_cycle"]):
                continue
            record["last_cycle"] = stamp_of(start)
            events, event = record["events"], None
            if not events or start >= _known_time(events[-1]["until_stamp"]):
                with self._for_rule(rule):
                    event = self._event(rule, forecast, frames)
            self._keep(rule, record, event)
            if event is not None:
                self._tell(rule, event)

    def on_frame(self, frames: xr.DataArray) -> None:
        """Verify by the last of some frames ``(time, y, x)`` in mm/h, if it is the newest so far."""
        time = frames["time"].values[-1]
        for rule in self._rules:
            record = self._record(rule)
            if record["last_frame"] is not None and time <= _known_time(record["last_frame"]):
                continue
            record["last_frame"] = stamp_of(time)
            value = np.nan
            with self._for_rule(rule):
                value = _observed(rule, frames)
            self._verify(record, time, None if np.isnan(value) else bool(value >= rule.threshold))
            self._keep(rule, record)

    def _event(self, rule: AlarmRule, forecast: xr.Dataset, frames: xr.DataArray) -> Record | None:
        """An alarm, if a forecast asks for it."""
        place = _at(rule, forecast)
        options = {}
        if rule.period is not None:
            place = place.ssldm.joined(_series(rule, frames))
            options["period"] = rule.period
        probability = place.ssldm.exceedance_probability(rule.threshold, **options)
        probability = probability.isel(lead_time=(probability["lead_time"] > _ZERO).values)
        enough = np.flatnonzero(probability.values >= rule.probability)
        if not len(enough):
            return None
        valid = probability["valid_time"].values
        return {
            "rule": rule.name,
            "cycle": stamp_of(forecast["forecast_reference_time"].values),
            "raised": iso(np.datetime64("now")),
            "probability": round(float(np.nanmax(probability.values)), 4),
            "expected": iso(valid[enough[0]]),
            "until": iso(valid[-1]),
            "until_stamp": stamp_of(valid[-1]),
            "frames": len(valid),
            "seen": 0,
            "outcome": "open",
        }

    def _verify(self, record: Record, time: np.datetime64, reached: bool | None) -> None:
        held = False
        for event in record["events"]:
            until = _known_time(event["until_stamp"])
            within = bool(_known_time(event["cycle"]) < time <= until)
            held |= within
            if event["outcome"] != "open":
                continue
            event["seen"] += within and reached is not None
            if within and reached:
                event["outcome"] = "hit"
                record["hits"] += 1
            elif time >= until:
                known = event["seen"] >= LEAST_SEEN * event["frames"]
                event["outcome"] = "false alarm" if known else "unknown"
                record["false_alarms" if known else "unknown"] += 1
        if reached is not None:
            if reached and not record["reached"] and not held:
                record["misses"] += 1
            record["reached"] = reached

    def _tell(self, rule: AlarmRule, event: Record) -> None:
        _log.warning(
            "alarm",
            extra={"domain": self._domain, "rule": rule.name, "probability": event["probability"]},
        )
        if rule.webhook is not None:
            about = {
                name: value for name, value in event.items() if name not in ("seen", "frames", "until_stamp")
            }
            told = {"threshold": rule.threshold, "period": rule.period, "domain": self._domain}
            self._post(rule.webhook, {**about, **told})

    def _record(self, rule: AlarmRule) -> Record:
        empty = {
            "rule": rule.name, "events": [], "hits": 0, "misses": 0, "false_alarms": 0, "unknown": 0,
            "reached": False, "last_cycle": None, "last_frame": None,
        }  # fmt: skip
        return self._store.record(self._domain, KIND, rule.name) or empty

    @contextmanager
    def _for_rule(self, rule: AlarmRule) -> Iterator[None]:
        """A rule whose place cannot be had stops no other; said once in the log."""
        try:
            yield
        except (SsldmError, OSError) as error:
            if rule.name not in self._refused:
                self._refused.add(rule.name)
                _log.error(
                    "an alarm has no place",
                    extra={"domain": self._domain, "rule": rule.name, "error": str(error)},
                )

    def _keep(self, rule: AlarmRule, record: Record, event: Record | None = None) -> None:
        record["events"] = [*record["events"], *([event] if event else [])][-_KEPT:]
        self._store.put_record(self._domain, KIND, rule.name, record)


def alarms_of(rules: tuple[AlarmRule, ...], records: list[Record]) -> Record:
    """Rules, the alarms that were raised, the newest first, and how they did."""
    names = {rule.name for rule in rules}
    kept = [record for record in records if record["rule"] in names]
    shown = ("rule", "cycle", "raised", "probability", "expected", "until", "outcome")
    events = [{name: event[name] for name in shown} for record in kept for event in record["events"]]
    counts = ("rule", "hits", "misses", "false_alarms", "unknown")
    return {
        "rules": [_described(rule) for rule in rules],
        "events": sorted(events, key=lambda event: str(event["cycle"]), reverse=True),
        "scores": [{name: record[name] for name in counts} for record in kept],
    }


def _described(rule: AlarmRule) -> Record:
    place: Record = {"area": rule.area.stem} if rule.area is not None else {"lat": rule.lat, "lon": rule.lon}
    return {
        "name": rule.name, **place, "threshold": rule.threshold, "period": rule.period,
        "probability": rule.probability,
    }  # fmt: skip


def _at(rule: AlarmRule, forecast: xr.Dataset) -> xr.Dataset:
    """The forecast at a rule's place, or the mean over its area."""
    if rule.area is None:
        place: xr.Dataset = forecast.ssldm.at(lat=rule.lat, lon=rule.lon)
        return place
    area: xr.Dataset = forecast.ssldm.over(rule.area)
    return area.isel(area=0, drop=True)


def _series(rule: AlarmRule, frames: xr.DataArray) -> xr.DataArray:
    """What was observed at a rule's place: ``(time)`` in mm/h."""
    start = frames["time"].values[-1]
    bare = frames.drop_vars([n for n in frames.coords if n not in ("time", "y", "x", "crs", "spatial_ref")])
    as_leads = bare.rename(time="lead_time").assign_coords(lead_time=frames["time"].values - start)
    forecast = xr.Dataset({NAME: as_leads.expand_dims(member=[0])}).assign_coords(
        forecast_reference_time=start
    )
    at = _at(rule, forecast)[NAME].isel(member=0, drop=True)
    series = at.rename(lead_time="time").assign_coords(time=frames["time"].values)
    return series.drop_vars([name for name in series.coords if name != "time"])


def _observed(rule: AlarmRule, frames: xr.DataArray) -> float:
    """The rate at the last frame's time, or the amount of the period until then; NaN if unknown."""
    if rule.period is None:
        return float(_series(rule, frames.isel(time=slice(-1, None))).values[-1])
    time = frames["time"].values[-1]
    period = span_of(rule.period)
    times = frames["time"].values
    if len(times) < 2:
        return float("nan")
    step = usual_step(times)
    # Half a step of room, for stamps that are not exact.
    within = frames.sel(time=slice(time - period + step // 2, None))
    rates = _series(rule, within).values
    known = rates[np.isfinite(rates)]
    if len(known) < LEAST_SEEN * max(round(period / step), 1):
        return float("nan")
    return float(known.mean() * (period / np.timedelta64(1, "h")))


def _known_time(stamp: Any) -> np.datetime64:
    time = time_of(str(stamp))
    return np.datetime64("NaT") if time is None else time


def _post_aside(address: str, body: Record) -> None:
    """Post in the background, some times over; addresses hold secrets and are not logged."""
    threading.Thread(target=_post, args=(address, body), daemon=True).start()


def _post(address: str, body: Record) -> None:
    request = Request(  # noqa: S310  # http and https alone, by the configuration
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    for attempt in range(_ATTEMPTS):
        sleep(attempt * _PAUSE_SECONDS)
        try:
            with urlopen(request, timeout=_POST_SECONDS):  # noqa: S310
                return
        except (OSError, ValueError, HTTPException) as error:
            _log.warning(
                "webhook failed",
                extra={"rule": body["rule"], "attempt": attempt + 1, "error": type(error).__name__},
            )
