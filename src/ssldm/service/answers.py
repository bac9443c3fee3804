"""What answers look like: their models, which are documentation, and their headers."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
A_MINUTE = {"Cache-Control": "public, max-age=60"}
NO_CACHE = {"Cache-Control": "no-cache"}

Numbers = list[float | None]
# By a quantile or threshold.
ByNumber = dict[str, Numbers]


class Problem(BaseModel):
    """Why there is no answer, in one line."""

    detail: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "No proper request"},
    404: {"model": Problem, "description": "Not, or no longer, there"},
    405: {"model": Problem, "description": "Another method"},
    413: {"model": Problem, "description": "A body that is too large"},
    422: {"model": Problem, "description": "A body or number that cannot be answered"},
    429: {"model": Problem, "description": "Too many requests of one client"},
    503: {"model": Problem, "description": "Too many requests at once, or too long an answer"},
}


class Record(BaseModel):
    """What the forecaster keeps; it may say more."""

    model_config = ConfigDict(extra="allow")


class Cycle(Record):
    """How a cycle was answered."""

    cycle: str
    reference_time: str | None = None
    published: str | None = None
    state: str
    reasons: list[str] = []
    members: int | None = None
    asked_members: int | None = None
    lead_minutes: list[float] = []
    seconds: float | None = None
    latency_seconds: float | None = None
    source: str | None = None
    covered_share: float | None = None
    input_notes: str | None = None


class Frame(BaseModel):
    """An observed frame."""

    stamp: str
    time: str


class Times(BaseModel):
    """What there is of the last hours."""

    observed: list[Frame]
    cycles: list[Cycle]


class Domain(BaseModel):
    """What is offered of a domain; ``bounds`` are west, south, east and north in degrees."""

    name: str
    title: str
    bounds: list[float] | None
    step_minutes: float | None
    lead_minutes: list[float]
    members: int
    thresholds: list[float]
    periods: list[str]
    quantiles: list[float]
    products: list[str]
    newest_cycle: str | None
    newest_frame: str | None


class Domains(BaseModel):
    """All domains, and the colours of their maps."""

    now: str
    replayed: bool
    version: str
    domains: list[Domain]
    colours: dict[str, Any]
    base: dict[str, str] | None = None


class Rate(BaseModel):
    """Rain rate in mm/h by lead time."""

    mean: Numbers
    quantiles: ByNumber
    probability: ByNumber


class Amount(BaseModel):
    """Amounts in mm of the period that ends at each lead time."""

    quantiles: ByNumber
    probability: ByNumber
    known_share: Numbers


class Arrival(BaseModel):
    """When rain of at least a threshold in mm/h comes: how probable it is, and by when, by quantile."""

    threshold: float
    probability: float | None
    time: dict[str, str | None]


class Observed(BaseModel):
    """Rates in mm/h that were observed before."""

    time: list[str]
    rate: Numbers


class PlaceSeries(BaseModel):
    """Rain of one place."""

    valid_time: list[str]
    lead_minutes: list[float]
    rate: Rate
    amount: dict[str, Amount]
    arrival: Arrival
    observed: Observed


class OfCycle(BaseModel):
    """Which forecast it is."""

    domain: str
    cycle: str
    state: str
    members: int


class PointSeries(OfCycle, PlaceSeries):
    """Rain of a point."""

    lat: float
    lon: float


class AreaSeries(PlaceSeries):
    """Mean rain of an area; null where less than half of it is forecast, see ``covered_share``."""

    name: str
    area_km2: float
    covered_share: Numbers


class AreasSeries(OfCycle):
    """Mean rain of areas."""

    areas: list[AreaSeries]


def json_answer(content: Mapping[str, Any], request: Request | None = None) -> Response:
    """JSON that may change at any time; 304 where the one who asks has it."""
    return tagged(json_bytes(content), "application/json", request)


def tagged(body: bytes, media_type: str, request: Request | None) -> Response:
    """A body that may change at any time; 304 where the one who asks has it."""
    headers = NO_CACHE | {"ETag": etag_of(body)}
    if request is not None and headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """JSON without NaN."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def etag_of(body: bytes) -> str:
    """What tells bodies apart."""
    return f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
