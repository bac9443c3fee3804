"""The layout of RainViewer's API, version 2, for what is made to read it."""

import re
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from ssldm.service.answers import NO_CACHE, json_answer
from ssldm.service.mercator import MOST_ZOOM, View
from ssldm.service.refusals import NotThereError
from ssldm.service.routes.tiles import PNG, Zoom, picture, view_of
from ssldm.service.service import KnownDomain, ServiceOf
from ssldm.service.tile_colours import Reflectivity
from ssldm.service.times import time_of

router = APIRouter(tags=["rainviewer"])
# One map for those who know of no ensemble.
PRODUCT = "mean"
_PAST = np.timedelta64(2, "h")
_SECOND = np.timedelta64(1, "s")
_MOST_LATITUDE = 85.06
_DEGREES = re.compile(r"-?\d{1,3}\.\d{0,12}", re.ASCII)
_SCHEMES = {"0": Reflectivity()}
_TILE = re.compile(r"\d{1,5}", re.ASCII)

Size = Annotated[Literal["256", "512"], Path()]
Place = Annotated[
    str, Path(description="Number of a tile, or degrees with a dot for a picture around a place")
]
Color = Annotated[
    str, Path(description="0 for reflectivity, dBZ + 32 in the red channel; else rain in our colours")
]
Ignored = Annotated[str, Path(description="Accepted and ignored")]


class MapFrame(BaseModel):
    """A picture's time (seconds since 1970) and the beginning of its addresses."""

    time: int
    path: str


class Radar(BaseModel):
    """Pictures, oldest first."""

    past: list[MapFrame]
    nowcast: list[MapFrame]


class Satellite(BaseModel):
    """None."""

    infrared: list[MapFrame]


class WeatherMaps(BaseModel):
    """What there is."""

    version: str
    generated: int
    host: str
    radar: Radar
    satellite: Satellite


@router.get("/public/weather-maps.json", response_model=WeatherMaps)
def weather_maps(
    request: Request,
    service: ServiceOf,
    domain: Annotated[str | None, Query(description="The first one where it is not said")] = None,
) -> Response:
    """Frames of the last two hours and the newest forecast's."""
    name = service.domain(domain).name if domain is not None else service.config.domains[0].name
    now = service.clock.now()
    frames = [(time, stamp) for stamp in service.stored.frames(name) if (time := time_of(stamp)) is not None]
    newest = frames[-1][0] if frames else now
    past = [
        {"time": _unix(time), "path": f"/v2/radar/{name}/{stamp}"}
        for time, stamp in frames
        if time >= newest - _PAST
    ]
    nowcast = []
    made = service.stored.newest(name)
    if made is not None and (start := time_of(made["cycle"])) is not None:
        for minutes in made.get("lead_minutes", []):
            time = start + np.timedelta64(round(minutes * 60), "s")
            path = f"/v2/radar/{name}/{made['cycle']}/{minutes:g}"
            if time > newest:
                nowcast.append({"time": _unix(time), "path": path})
    content = {
        "version": "2.0",
        "generated": _unix(now),
        "host": str(request.base_url).rstrip("/"),
        "radar": {"past": past, "nowcast": nowcast},
        "satellite": {"infrared": []},
    }
    return json_answer(content, request)


@router.get(
    "/v2/radar/{domain}/{stamp}/{size}/{z}/{x}/{y}/{color}/{options}.png",
    response_class=Response,
    responses=PNG,
)
def radar(
    domain: KnownDomain, stamp: str, size: Size, z: Zoom, x: Place, y: Place,
    color: Color, options: Ignored, service: ServiceOf,  # noqa: ARG001
) -> Response:  # fmt: skip
    """An observed frame: rain in mm/h."""
    view = _view(z, x, y, int(size))
    return picture(service.tiles.observed(domain.name, stamp, view, _SCHEMES.get(color)))


@router.get(
    "/v2/radar/{domain}/{cycle}/{lead}/{size}/{z}/{x}/{y}/{color}/{options}.png",
    response_class=Response,
    responses=PNG,
)
def nowcast(
    domain: KnownDomain, cycle: str, lead: str, size: Size, z: Zoom, x: Place, y: Place,
    color: Color, options: Ignored, service: ServiceOf,  # noqa: ARG001
) -> Response:  # fmt: skip
    """The mean of a forecast: rain in mm/h."""
    view = _view(z, x, y, int(size))
    return picture(service.tiles.forecast(domain.name, cycle, PRODUCT, lead, view, _SCHEMES.get(color)))


@router.get("/v2/coverage/0/{size}/{z}/{x}/{y}/0/0_0.png", response_class=Response, responses=PNG)
def coverage(
    size: Size, z: Zoom, x: Place, y: Place, service: ServiceOf,
    domain: Annotated[str | None, Query()] = None,
) -> Response:  # fmt: skip
    """Where the newest frame was observed: transparent there, else black."""
    name = service.domain(domain).name if domain is not None else service.config.domains[0].name
    frames = service.stored.frames(name)
    if not frames:
        raise NotThereError("no frame yet")
    png = service.tiles.coverage(name, frames[-1], _view(z, x, y, int(size)))
    return Response(png, media_type="image/png", headers=NO_CACHE)


def _view(z: int, x: str, y: str, size: int) -> View:
    """That of a tile, or of a latitude and longitude, which have a dot."""
    if _TILE.fullmatch(x) and _TILE.fullmatch(y):
        return view_of(z, int(x), int(y), size)
    if not (_DEGREES.fullmatch(x) and _DEGREES.fullmatch(y)) or not 0 <= z <= MOST_ZOOM:
        raise NotThereError("no such tile")
    lat, lon = float(x), float(y)
    if abs(lat) > _MOST_LATITUDE or abs(lon) > 180.0:
        raise NotThereError("no such place")
    return View.around(z, lat, lon, size)


def _unix(time: np.datetime64) -> int:
    return int((time - np.datetime64(0, "s")) // _SECOND)
