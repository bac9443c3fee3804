"""Tiles of the web mercator map."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response

from ssldm.service.answers import IMMUTABLE
from ssldm.service.mercator import MOST_ZOOM, View
from ssldm.service.refusals import NotThereError
from ssldm.service.service import KnownDomain, ServiceOf

router = APIRouter(tags=["tiles"])
PNG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A picture",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Zoom = Annotated[int, Path(ge=0, le=MOST_ZOOM)]
Number = Annotated[int, Path(ge=0, lt=2**MOST_ZOOM)]


@router.get("/tiles/{domain}/observed/{stamp}/{z}/{x}/{y}.png", response_class=Response, responses=PNG)
def observed(domain: KnownDomain, stamp: str, z: Zoom, x: Number, y: Number, service: ServiceOf) -> Response:
    """An observed frame: rain in mm/h."""
    return picture(service.tiles.observed(domain.name, stamp, view_of(z, x, y)))


@router.get(
    "/tiles/{domain}/{cycle}/{product}/{lead}/{z}/{x}/{y}.png", response_class=Response, responses=PNG
)
def forecast(
    domain: KnownDomain,
    cycle: str,
    product: str,
    lead: Annotated[str, Path(description="Minutes")],
    z: Zoom,
    x: Number,
    y: Number,
    service: ServiceOf,
) -> Response:
    """A map of a forecast: mean, member-K, quantile-Q, probability-T, amount-PERIOD-quantile-Q, …"""
    return picture(service.tiles.forecast(domain.name, cycle, product, lead, view_of(z, x, y)))


def view_of(z: int, x: int, y: int, size: int = 256) -> View:
    """That of a tile.

    Raises:
        NotThereError: none at this zoom.
    """
    if not (0 <= z <= MOST_ZOOM and 0 <= x < 1 << z and 0 <= y < 1 << z):
        raise NotThereError("no such tile")
    return View.of_tile(z, x, y, size)


def picture(png: bytes) -> Response:
    """A picture that never changes."""
    return Response(png, media_type="image/png", headers=IMMUTABLE)
