"""Whether the service does what it should, and measures of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel

from ssldm.service.metrics import heartbeat_age
from ssldm.service.service import Service, ServiceOf
from ssldm.service.store import Record
from ssldm.service.times import span_of, time_of

_HEARTBEAT_SECONDS = 60.0


class Health(BaseModel):
    """How it is."""

    status: str
    reason: str | None = None
    domains: dict[str, str | None] = {}


_UNWELL: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "Not well, and why"}}


def health_router(registry: CollectorRegistry) -> APIRouter:
    """The routes of ``/health`` and ``/metrics``."""
    router = APIRouter(tags=["health"])

    @router.get("/health", response_model=Health, responses=_UNWELL)
    def health(service: ServiceOf) -> Response:
        """200 if forecasts are made in time, else 503 with the reason."""
        found = _faults(service)
        newest = {each.name: _stamp(service.stored.newest(each.name)) for each in service.config.domains}
        content: dict[str, Any] = {"status": "ok", "reason": None, "domains": newest}
        if found is not None:
            content |= {"status": found[0], "reason": found[1]}
        return JSONResponse(content, 200 if found is None else 503, {"Cache-Control": "no-store"})

    @router.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Measures, for Prometheus."""
        return PlainTextResponse(generate_latest(registry), headers={"Cache-Control": "no-store"})

    return router


def _faults(service: Service) -> tuple[str, str] | None:
    """The first that is found: a word, and what it is."""
    checks: tuple[Callable[[Service], tuple[str, str] | None], ...] = (_of_store, _of_cycles, _of_forecaster)
    return next((found for check in checks if (found := check(service)) is not None), None)


def _of_store(service: Service) -> tuple[str, str] | None:
    if (fault := service.stored.store.fault()) is not None:
        return "store", fault
    if service.stored.status().get("store_error"):
        return "store", "the store cannot be written to"
    return None


def _of_cycles(service: Service) -> tuple[str, str] | None:
    stale = span_of(service.config.stale)
    for domain in service.config.domains:
        newest = service.stored.newest(domain.name)
        time = None if newest is None else time_of(newest["cycle"])
        if time is None:
            return "starting", f"no forecast yet of {domain.name}"
        age = service.clock.now() - time
        if age > stale:
            minutes = age / np.timedelta64(1, "m")
            return "stale", f"the newest forecast of {domain.name} is {minutes:.0f} min old"
    return None


def _of_forecaster(service: Service) -> tuple[str, str] | None:
    age = heartbeat_age(service.stored.status())
    if age is None:
        return "forecaster", "no sign of life of the forecaster yet"
    if age > _HEARTBEAT_SECONDS:
        return "forecaster", f"no sign of life of the forecaster for {age:.0f} s"
    return None


def _stamp(cycle: Record | None) -> str | None:
    return None if cycle is None else str(cycle["cycle"])
