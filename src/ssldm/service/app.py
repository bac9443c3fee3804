"""The server: reads the store, and nothing else."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ssldm.service.answers import PROBLEMS
from ssldm.service.config import ServiceConfig
from ssldm.service.limits import BodyLimit, Deadline, RateLimit
from ssldm.service.metrics import Measured, OfForecaster
from ssldm.service.refusals import BusyError, NotThereError, UnfitRequestError
from ssldm.service.routes import domains, downloads, events, page, rainviewer, series, tiles
from ssldm.service.routes.health import health_router
from ssldm.service.service import Service
from ssldm.service.shield import Shield
from ssldm.service.store import Store
from ssldm.service.times import Clock

_STATUS = {NotThereError: 404, UnfitRequestError: 422, BusyError: 503}
_COMPRESSED, _LEAST_COMPRESSED = ("/static/", "/base/", "/api/"), 1000


def create_app(config: ServiceConfig, store: Store, clock: Clock) -> FastAPI:
    """The app of a service.

    Args:
        config: what is offered.
        store: what it is answered from.
        clock: the time.
    """
    registry = CollectorRegistry()
    service = Service.of(config, store, clock)
    registry.register(OfForecaster(service))
    app = FastAPI(
        title="ssldm", description="Live ensemble rain nowcasts", docs_url=None, redoc_url=None,
        responses=PROBLEMS, redirect_slashes=False,
    )  # fmt: skip
    app.state.service = service
    for router in (module.router for module in (domains, series, tiles, rainviewer, downloads, events, page)):
        app.include_router(router)
    app.include_router(health_router(registry))
    app.mount("/static", page.PageFiles(directory=page.STATIC, check_dir=False), "static")
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _refused(status))
    app.add_exception_handler(RequestValidationError, _unfit)
    app.add_exception_handler(HTTPException, _http)
    # The last is the outermost.
    app.add_middleware(Compressed)
    app.add_middleware(Deadline, seconds=config.limits.seconds)
    app.add_middleware(BodyLimit, most=config.limits.body_bytes)
    app.add_middleware(RateLimit, most=config.limits.requests_a_minute)
    if config.origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(config.origins), allow_methods=["GET", "POST"])
    app.add_middleware(Shield, base=config.base, replayed=config.replay is not None)
    app.add_middleware(Measured, registry=registry)
    return app


class Compressed:
    """Text is compressed; pictures and files are already.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._smaller = GZipMiddleware(app, _LEAST_COMPRESSED, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        text = path.startswith(_COMPRESSED) and not path.endswith((".nc", ".tif"))
        await (self._smaller if text else self._app)(scope, receive, send)


def _refused(status: int) -> Any:
    async def answer(_: Request, error: Exception) -> Response:
        return _problem(status, str(error))

    return answer


async def _unfit(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _problem(422, f"{where}: {first['msg']}" if where else str(first["msg"]))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, str(error.detail), dict(error.headers or {}))


def _problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    retry = {"Retry-After": "5"} if status == 503 else {}
    whole = {"Cache-Control": "no-store", **retry, **(headers or {})}
    return JSONResponse({"detail": " ".join(text.split())}, status, whole)
