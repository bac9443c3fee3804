"""News of new frames and cycles, as server-sent events."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from ssldm.service.service import ServiceOf
from ssldm.service.shield import HEAD

router = APIRouter(tags=["events"])
_STREAM = "text/event-stream"
_OK: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events", "content": {_STREAM: {"schema": {"type": "string"}}}}
}
# Proxies must not wait for the end.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get("/api/events", response_class=StreamingResponse, responses=_OK)
async def events(request: Request, service: ServiceOf) -> Response:
    """``cycle`` with domain, cycle and state; ``frame`` with domain and frame; a comment now and then."""
    if request.scope.get(HEAD):
        return Response(media_type=_STREAM, headers=_HEADERS)
    return StreamingResponse(service.broadcast.listen(), media_type=_STREAM, headers=_HEADERS)
