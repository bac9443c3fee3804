"""Measures of the server and of the forecaster, for Prometheus."""

from collections.abc import Iterator
from time import monotonic

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssldm.service.service import Service
from ssldm.service.store import Record
from ssldm.service.times import time_of

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_OUTCOMES = {"hits": "hit", "misses": "miss", "false_alarms": "false alarm"}


class Measured:
    """Counts requests by their route, never by their address.

    Args:
        app: what answers.
        registry: of the measures.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter("ssldm_requests", "Requests", ("route", "status"), registry=registry)
        self._seconds = Histogram(
            "ssldm_request_seconds", "Seconds until an answer begins", ("route",),
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = monotonic(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                route = getattr(scope.get("route"), "path", None) or "other"
                self._requests.labels(route, str(status)).inc()
                self._seconds.labels(route).observe(monotonic() - began)
            await send(message)

        await self._app(scope, receive, sent)


class OfForecaster(Collector):
    """What the store tells of forecasts, when it is asked for.

    Args:
        service: the app's state.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[GaugeMetricFamily]:
        status = self._service.stored.status()
        for name, text in (
            ("queue", "Frames that wait for a forecast"),
            ("cycles", "Cycles since the forecaster began"),
            ("degraded", "Of these, those with less than what is asked for"),
        ):
            gauge = GaugeMetricFamily(f"ssldm_forecaster_{name}", text)
            if isinstance(status.get(name), int | float):
                gauge.add_metric([], float(status[name]))
            yield gauge
        heartbeat = GaugeMetricFamily("ssldm_forecaster_heartbeat_age_seconds", "Since its last sign of life")
        if (age := heartbeat_age(status)) is not None:
            heartbeat.add_metric([], age)
        yield heartbeat
        yield from self._of_domains()

    def _of_domains(self) -> Iterator[GaugeMetricFamily]:
        latency = GaugeMetricFamily(
            "ssldm_cycle_latency_seconds", "From its frame to the newest forecast", labels=["domain"]
        )
        age = GaugeMetricFamily("ssldm_input_age_seconds", "Age of the newest frame", labels=["domain"])
        degraded = GaugeMetricFamily(
            "ssldm_cycles_degraded", "Stored cycles with less than what is asked for", labels=["domain"]
        )
        crps = GaugeMetricFamily(
            "ssldm_skill_crps", "CRPS of the last hours in mm/h", labels=["domain", "lead_minutes"]
        )
        extrapolation = GaugeMetricFamily(
            "ssldm_skill_crps_extrapolation",
            "Of the extrapolation, in mm/h",
            labels=["domain", "lead_minutes"],
        )
        alarms = GaugeMetricFamily(
            "ssldm_alarms", "Alarms and misses by outcome", labels=["domain", "rule", "outcome"]
        )
        stored, now = self._service.stored, self._service.clock.now()
        for domain in self._service.config.domains:
            name = domain.name
            cycles, frames = stored.cycles(name), stored.frames(name)
            if cycles and cycles[-1].get("latency_seconds") is not None:
                latency.add_metric([name], float(cycles[-1]["latency_seconds"]))
            if frames and (newest := time_of(frames[-1])) is not None:
                age.add_metric([name], float((now - newest) / np.timedelta64(1, "s")))
            degraded.add_metric([name], sum(bool(cycle.get("degraded")) for cycle in cycles))
            for lead in self._service.skill(name)["by_lead"]:
                labels = [name, f"{lead['lead_minutes']:g}"]
                crps.add_metric(labels, lead["crps"])
                extrapolation.add_metric(labels, lead["crps_extrapolation"])
            for score in self._service.alarms(domain)["scores"]:
                for key, outcome in _OUTCOMES.items():
                    alarms.add_metric([name, str(score["rule"]), outcome], float(score[key]))
        yield from (latency, age, degraded, crps, extrapolation, alarms)


def heartbeat_age(status: Record) -> float | None:
    """Seconds of the world's time since the forecaster's last sign of life; None where it never gave one."""
    try:
        last = np.datetime64(str(status["heartbeat"]).removesuffix("Z"), "ms")
    except (KeyError, ValueError):
        return None
    return float((np.datetime64("now", "ms") - last) / np.timedelta64(1, "s"))
