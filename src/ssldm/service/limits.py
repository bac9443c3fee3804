"""Limits of requests: how many of a client, how large, and how long an answer may take."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from time import monotonic

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Who is not limited: behind a web server, clients are those that it names.
_THIS_MACHINE = "127.0.0.1", "::1"
# Clients whose requests are counted, the most recent ones.
_CLIENTS = 20_000
# Files of all members take longer than anything else.
_SLOW, _SLOWER = ".nc", 15.0


class RateLimit:
    """So many requests a minute of a client: a bucket that fills evenly, and holds a minute's.

    Args:
        app: what is asked.
        most: requests a minute; 0 is no limit.
        now: seconds.
    """

    def __init__(self, app: ASGIApp, most: int, now: Callable[[], float] = monotonic) -> None:
        self._app, self._most, self._now = app, most, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._most and (wait := self._wait(scope)):
            answer = JSONResponse(
                {"detail": f"more than {self._most} requests a minute"},
                429,
                {"Retry-After": str(ceil(wait)), "Cache-Control": "no-store"},
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _wait(self, scope: Scope) -> float:
        """Seconds until the client may ask; 0 is now, and counts."""
        client = (scope.get("client") or ("unknown", 0))[0]
        if client in _THIS_MACHINE:
            return 0.0
        now, second = self._now(), self._most / 60.0
        left, last = self._left.pop(client, (float(self._most), now))
        left = min(left + (now - last) * second, float(self._most))
        allowed = left >= 1.0
        self._left[client] = (left - 1.0 if allowed else left, now)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / second


class BodyLimit:
    """Bodies of so many bytes, whether their length is said or not.

    Args:
        app: what is asked.
        most: bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or len(stated) > 18 or int(stated) > self._most:
            await JSONResponse({"detail": self._refusal}, 413)(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                raise HTTPException(413, self._refusal)
            return message

        await self._app(scope, counted, send)

    @property
    def _refusal(self) -> str:
        return f"expected a body of at most {self._most} bytes"


class Deadline:
    """Answers that begin within so many seconds; what is computed goes on, and may be kept for the next.

    Args:
        app: what is asked.
        seconds: until the first byte.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, late = asyncio.Event(), False

        async def sent(message: Message) -> None:
            if late:
                return
            begun.set()
            await send(message)

        seconds = self._seconds * (_SLOWER if scope["path"].endswith(_SLOW) else 1.0)
        answering = asyncio.ensure_future(self._app(scope, receive, sent))
        waiting = asyncio.ensure_future(begun.wait())
        try:
            await asyncio.wait({answering, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if begun.is_set() or answering.done():
                await answering
                return
        except asyncio.CancelledError:
            answering.cancel()
            raise
        finally:
            waiting.cancel()
        late = True
        answering.add_done_callback(_noticed)
        refusal = {"detail": f"the answer takes longer than {seconds:g} s"}
        await JSONResponse(refusal, 503, {"Retry-After": "10"})(scope, receive, send)


def _noticed(answering: "asyncio.Future[None]") -> None:
    """An error of an answer that nobody waits for any more is not told."""
    if not answering.cancelled():
        answering.exception()
