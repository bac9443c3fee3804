"""Rain of a point and of areas, as JSON or CSV."""

from hashlib import blake2b
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from ssldm.service.answers import A_MINUTE, NO_CACHE, AreasSeries, PointSeries, json_bytes
from ssldm.service.areas import areas_in
from ssldm.service.refusals import NotThereError
from ssldm.service.routes.domains import CycleName
from ssldm.service.series import Frames, of_areas, of_point, since
from ssldm.service.series_text import areas_json, csv, point_json
from ssldm.service.service import KnownDomain, Service, ServiceOf
from ssldm.service.stored import LATEST, Opened
from ssldm.service.times import time_of

router = APIRouter(tags=["series"])
_CSV: dict[str, Any] = {"text/csv": {"schema": {"type": "string"}}}
_OK: dict[int | str, dict[str, Any]] = {200: {"description": "A series", "content": _CSV}}
_POSITION = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
_POLYGON = {
    "type": "array", "minItems": 1, "items": {"type": "array", "minItems": 4, "items": _POSITION},
}  # fmt: skip
_GEOMETRY = {
    "type": "object",
    "required": ["type", "coordinates"],
    "properties": {"type": {"type": "string", "enum": ["Polygon"]}, "coordinates": _POLYGON},
}
_FEATURE = {
    "type": "object",
    "required": ["type", "geometry"],
    "properties": {
        "type": {"type": "string", "enum": ["Feature"]},
        "geometry": _GEOMETRY,
        "properties": {"type": "object"},
    },
}
_FEATURES = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"type": "string", "enum": ["FeatureCollection"]},
        "features": {"type": "array", "minItems": 1, "maxItems": 10, "items": _FEATURE},
    },
}
_GEOJSON = {
    "requestBody": {
        "required": True,
        "description": "GeoJSON polygons in degrees, at most 10; MultiPolygons too",
        "content": {"application/json": {"schema": {"anyOf": [_GEOMETRY, _FEATURE, _FEATURES]}}},
    }
}
Form = Annotated[Literal["json", "csv"], Query(alias="format")]


async def _body(request: Request) -> bytes:
    return await request.body()


@router.get("/api/domains/{domain}/cycles/{cycle}/point", response_model=PointSeries, responses=_OK)
def point(
    domain: KnownDomain,
    cycle: CycleName,
    service: ServiceOf,
    lat: Annotated[float, Query(ge=-90.0, le=90.0, allow_inf_nan=False)],
    lon: Annotated[float, Query(ge=-180.0, le=360.0, allow_inf_nan=False)],
    form: Form = "json",
) -> Response:
    """Rain of the pixel that a point in degrees lies in; 404 outside of the domain."""
    name = domain.name
    summary = service.stored.cycle(name, cycle)
    stamp = summary["cycle"]

    def text() -> bytes:
        with service.stored.reading(name, stamp) as forecast:
            frames = _frames(service, name, forecast)
            series = of_point(forecast.data, frames, lat, lon)
        if form == "csv":
            return csv(series).encode()
        about = _about(name, summary, forecast.data)
        return json_bytes(point_json(series, about, lat, lon))

    return _answer(
        service.texts.get((name, stamp, lat, lon, form, *_newest(service, name)), text),
        form,
        cycle,
        name,
        stamp,
    )


@router.post(
    "/api/domains/{domain}/cycles/{cycle}/area",
    response_model=AreasSeries,
    responses=_OK,
    openapi_extra=_GEOJSON,
)
def area(
    domain: KnownDomain,
    cycle: CycleName,
    service: ServiceOf,
    body: Annotated[bytes, Depends(_body)],
    form: Form = "json",
) -> Response:
    """Mean rain of areas, of which at least half is forecast; 404 where none is in the domain."""
    name = domain.name
    summary = service.stored.cycle(name, cycle)
    stamp = summary["cycle"]
    areas = areas_in(body, service.stored.forecast(name, stamp).grid, service.config.limits)

    def text() -> bytes:
        with service.stored.reading(name, stamp) as forecast:
            frames = _frames(service, name, forecast)
            series = of_areas(forecast.data, frames, areas)
        if form == "csv":
            return csv(series).encode()
        return json_bytes(areas_json(series, _about(name, summary, forecast.data)))

    key = (name, stamp, blake2b(body).digest(), form, *_newest(service, name))
    found = service.texts.kept(key)
    if found is None:
        # Those who wait hold threads, too.
        with service.areas.entered():
            found = service.texts.get(key, text)
    return _answer(found, form, cycle, name, stamp)


def _answer(body: bytes, form: str, asked: str, domain: str, stamp: str) -> Response:
    # Frames that come late are in it from then on.
    headers = dict(NO_CACHE if asked == LATEST else A_MINUTE)
    if form == "csv":
        headers["Content-Disposition"] = f'attachment; filename="{domain}-{stamp}.csv"'
    media_type = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    return Response(body, media_type=media_type, headers=headers)


def _newest(service: Service, domain: str) -> tuple[str, int]:
    """What changes when a frame comes or goes."""
    frames = service.stored.frames(domain)
    return (frames[-1], len(frames)) if frames else ("", 0)


def _about(name: str, summary: dict[str, Any], forecast: xr.Dataset) -> dict[str, Any]:
    return {
        "domain": name,
        "cycle": summary["cycle"],
        "state": summary["state"],
        "members": forecast.sizes["member"],
    }


def _frames(service: Service, domain: str, forecast: Opened) -> Frames:
    """Frames before a forecast, of those that are stored on its grid."""
    reference = forecast.data["forecast_reference_time"].values
    first = since(forecast.data)
    times, fields = [], []
    for stamp in service.stored.frames(domain):
        time = time_of(stamp)
        if time is None or not first <= time <= reference:
            continue
        try:
            if service.stored.frame(domain, stamp).grid is not forecast.grid:
                continue
            field = service.stored.observed(domain, stamp)
        except NotThereError:  # old, and gone by now
            continue
        times.append(time)
        fields.append(field)
    return Frames(np.array(times, "datetime64[ns]"), fields)
