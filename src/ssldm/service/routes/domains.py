"""What is offered, what there is, and how the last hours did."""

from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from ssldm.service import tile_colours
from ssldm.service.answers import IMMUTABLE, Cycle, Domains, Record, Times, json_answer, json_bytes
from ssldm.service.service import KnownDomain, Service, ServiceOf
from ssldm.service.stored import LATEST
from ssldm.service.times import iso, time_of

router = APIRouter(tags=["domains"])
_MOST_HOURS = 72.0
_NOT_CHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Not changed"}}

CycleName = Annotated[str, Path(description="A stamp such as 20100826T033000Z, or latest")]


@router.get("/api/domains", response_model=Domains)
def domains(service: ServiceOf) -> Response:
    """All domains, what is offered of them, and the colours of their maps."""
    config = service.config
    content: dict[str, Any] = {
        "now": iso(service.clock.now()),
        "replayed": config.replay is not None,
        "version": version("ssldm"),
        "domains": [_offered(service, domain.name) for domain in config.domains],
        "colours": {
            "rain": tile_colours.rain().legend(),
            "probability": tile_colours.probability().legend(),
            "unobserved": tile_colours.rain().unobserved,
        },
    }
    if config.base is not None:
        content["base"] = {"tiles": config.base.tiles, "attribution": config.base.attribution}
    return json_answer(content)


@router.get("/api/domains/{domain}/times", response_model=Times, responses=_NOT_CHANGED)
def times(
    request: Request,
    domain: KnownDomain,
    service: ServiceOf,
    hours: Annotated[float, Query(gt=0.0, le=_MOST_HOURS, description="Before the newest frame")] = 3.0,
) -> Response:
    """Observed frames and cycles of the last hours, oldest first."""
    frames, cycles = service.stored.frames(domain.name), service.stored.cycles(domain.name)
    newest = max([*frames[-1:], *(cycle["cycle"] for cycle in cycles[-1:])], default=None)
    last = None if newest is None else time_of(newest)
    if last is None:
        return json_answer({"observed": [], "cycles": []}, request)
    first = last - np.timedelta64(round(hours * 3600), "s")

    def recent(stamp: str) -> bool:
        time = time_of(stamp)
        return time is not None and bool(time >= first)

    observed = [{"stamp": stamp, "time": _iso(stamp)} for stamp in frames if recent(stamp)]
    answered = [cycle for cycle in cycles if recent(cycle["cycle"])]
    return json_answer({"observed": observed, "cycles": answered}, request)


@router.get("/api/domains/{domain}/cycles/{cycle}", response_model=Cycle, responses=_NOT_CHANGED)
def cycle(request: Request, domain: KnownDomain, cycle: CycleName, service: ServiceOf) -> Response:
    """How a cycle was answered."""
    summary = service.stored.cycle(domain.name, cycle)
    if cycle == LATEST:
        return json_answer(summary, request)
    return Response(json_bytes(summary), media_type="application/json", headers=IMMUTABLE)


@router.get("/api/domains/{domain}/skill", response_model=Record, responses=_NOT_CHANGED)
def skill(request: Request, domain: KnownDomain, service: ServiceOf) -> Response:
    """How the forecasts of the last hours did: CRPS in mm/h by lead time, and reliability."""
    return json_answer(service.skill(domain.name), request)


@router.get("/api/domains/{domain}/alarms", response_model=Record, responses=_NOT_CHANGED)
def alarms(request: Request, domain: KnownDomain, service: ServiceOf) -> Response:
    """Rules of alarms, the alarms that were raised, and how they did."""
    return json_answer(service.alarms(domain), request)


def _offered(service: Service, name: str) -> dict[str, Any]:
    about = service.stored.about(name)
    domain = service.domain(name)
    frames, cycles = service.stored.frames(name), service.stored.cycles(name)
    return {
        "name": name,
        "title": about.get("title") or domain.title or name,
        "bounds": about.get("bounds"),
        "step_minutes": about.get("step_minutes"),
        "lead_minutes": about.get("lead_minutes", []),
        "members": about.get("members", domain.members),
        "thresholds": about.get("thresholds", list(service.config.thresholds)),
        "periods": about.get("periods", list(service.config.periods)),
        "quantiles": about.get("quantiles", list(service.config.quantiles)),
        "products": about.get("products", []),
        "newest_cycle": cycles[-1]["cycle"] if cycles else None,
        "newest_frame": frames[-1] if frames else None,
    }


def _iso(stamp: str) -> str:
    time = time_of(stamp)
    assert time is not None
    return iso(time)
