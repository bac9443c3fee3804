"""The page, and the lines of the map under the rain."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ssldm.service.answers import NO_CACHE, json_bytes, tagged
from ssldm.service.base_map import Bounds, around, lines, towns
from ssldm.service.refusals import NotThereError
from ssldm.service.service import Service, ServiceOf

STATIC = Path(__file__).parents[1] / "static"
_GEOJSON = "application/geo+json"
_OK: dict[int | str, dict[str, Any]] = {
    200: {"description": "GeoJSON", "content": {_GEOJSON: {"schema": {"type": "object"}}}},
    304: {"description": "Not changed"},
}
router = APIRouter(tags=["page"])


class PageFiles(StaticFiles):
    """Files of the page: asked for again each time, sent again when they change."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """A file, or that it has not changed."""
        response = super().file_response(*arguments, **options)
        response.headers.update(NO_CACHE)
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file.

        Raises:
            NotThereError: a path that no file can have.
        """
        try:
            return await super().get_response(path, scope)
        except (OSError, ValueError) as error:
            raise NotThereError("no such file") from error


@router.get("/", include_in_schema=False)
def page() -> Response:
    """The page."""
    if not (STATIC / "index.html").is_file():
        raise NotThereError("no page here")
    return FileResponse(STATIC / "index.html", headers=NO_CACHE)


@router.get("/base/lines.geojson", response_class=Response, responses=_OK)
def base_lines(request: Request, service: ServiceOf) -> Response:
    """Coasts and borders around the domains."""
    return _geojson(request, service, "lines", lines)


@router.get("/base/towns.geojson", response_class=Response, responses=_OK)
def base_towns(request: Request, service: ServiceOf) -> Response:
    """Towns around the domains."""
    return _geojson(request, service, "towns", towns)


def _geojson(
    request: Request, service: Service, kind: str, make: Callable[[Sequence[Bounds]], dict[str, Any]]
) -> Response:
    abouts = [service.stored.about(domain.name) for domain in service.config.domains]
    shown = around([about["bounds"] for about in abouts if about.get("bounds")])
    body = service.texts.get((kind, shown), lambda: json_bytes(make(shown)))
    return tagged(body, _GEOJSON, request)
