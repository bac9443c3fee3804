"""What every answer has in common: headers of security, HEAD, and no word of errors inside."""

import logging
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssldm.service.config import Base

_log = logging.getLogger(__name__)
_HOST = re.compile(rb"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
HEAD = "ssldm.head"


class Shield:
    """The outermost layer of an app.

    Args:
        app: what answers.
        base: another map, whose tiles pages may load.
        replayed: whether the past is replayed: times come again then, and nothing is for ever.
    """

    def __init__(self, app: ASGIApp, base: Base | None, *, replayed: bool) -> None:
        self._app, self._replayed = app, replayed
        self._headers = {
            "Content-Security-Policy": _policy(base),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "X-Frame-Options": "SAMEORIGIN",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head, started = scope["method"] == "HEAD", False
        if head:
            scope["method"] = "GET"
            scope[HEAD] = True

        async def sent(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                if self._replayed and "immutable" in headers.get("Cache-Control", ""):
                    headers["Cache-Control"] = "no-cache"
            elif head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if not _is_proper(scope):
            await JSONResponse({"detail": "no proper request"}, 400)(scope, receive, sent)
            return
        try:
            await self._app(scope, receive, sent)
        except Exception:
            _log.exception("internal error", extra={"path": scope["path"][:200]})
            if started:
                raise
            await JSONResponse({"detail": "internal error"}, 500)(scope, receive, sent)


def _is_proper(scope: Scope) -> bool:
    """Whether addresses can be made of its host, and files be looked for by its path."""
    hosts: Sequence[bytes] = [value for name, value in scope["headers"] if name == b"host"]
    return all(_HOST.fullmatch(host) for host in hosts) and "\0" not in scope["path"]


def _policy(base: Base | None) -> str:
    others = ""
    if base is not None:
        found = urlsplit(base.tiles.replace("{s}", "*"))
        others = f" {found.scheme}://{found.netloc}"
    return (
        f"default-src 'self'; img-src 'self' data: blob:{others}; worker-src 'self' blob:; "
        f"style-src 'self' 'unsafe-inline'; connect-src 'self'{others}"
    )
