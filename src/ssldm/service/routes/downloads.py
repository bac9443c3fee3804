"""Forecasts as files."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from ssldm.service.answers import IMMUTABLE, NO_CACHE
from ssldm.service.downloads import Download, geotiff, netcdf
from ssldm.service.routes.domains import CycleName
from ssldm.service.service import KnownDomain, Service, ServiceOf
from ssldm.service.stored import LATEST

router = APIRouter(tags=["downloads"])
_NETCDF, _GEOTIFF = "application/x-netcdf", "image/tiff; application=geotiff; profile=cloud-optimized"


def _file(media_type: str) -> dict[int | str, dict[str, Any]]:
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"description": "A file", "content": {media_type: schema}}}


@router.get(
    "/api/domains/{domain}/cycles/{cycle}/nowcast.nc",
    response_class=StreamingResponse,
    responses=_file(_NETCDF),
)
def nowcast(domain: KnownDomain, cycle: CycleName, service: ServiceOf) -> Response:
    """Rain rates of all members as CF NetCDF."""
    stamp = service.stored.cycle(domain.name, cycle)["cycle"]

    def write() -> Download:
        with service.stored.reading(domain.name, stamp) as forecast:
            return netcdf(forecast.data)

    file = _made(service, (domain.name, stamp), write)
    return _sent(file, _NETCDF, f"{domain.name}-{stamp}.nc", cycle)


@router.get(
    "/api/domains/{domain}/cycles/{cycle}/maps/{product}/{lead}.tif",
    response_class=StreamingResponse,
    responses=_file(_GEOTIFF),
)
def geotiff_map(
    domain: KnownDomain, cycle: CycleName, product: str, lead: str, service: ServiceOf
) -> Response:
    """A map of one lead time, in minutes, as cloud-optimised GeoTIFF."""
    stamp = service.stored.cycle(domain.name, cycle)["cycle"]
    field = service.stored.map(domain.name, stamp, product, lead)

    def write() -> Download:
        with service.stored.reading(domain.name, stamp) as forecast:
            return geotiff(product, field, forecast.data)

    file = _made(service, (domain.name, stamp, product, lead), write)
    return _sent(file, _GEOTIFF, f"{domain.name}-{stamp}-{product}-{lead}.tif", cycle)


def _made(service: Service, key: tuple[str, ...], write: Callable[[], Download]) -> Download:
    """A file that is kept, or is made while few others are: those who wait hold threads, too."""
    if (kept := service.files.kept(key)) is not None:
        return kept
    with service.writing.entered():
        return service.files.get(key, write)


def _sent(file: Download, media_type: str, name: str, asked: str) -> Response:
    headers = {
        **(NO_CACHE if asked == LATEST else IMMUTABLE),
        "Content-Length": str(file.size),
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return StreamingResponse(file.pieces(), media_type=media_type, headers=headers)
