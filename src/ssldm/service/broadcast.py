"""News of the store, looked for once a second for all who listen."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence

from ssldm.service.refusals import BusyError
from ssldm.service.stored import Stored

_log = logging.getLogger(__name__)
_POLL_SECONDS, _ALIVE_SECONDS = 1.0, 15.0
# News that a listener may be behind; one that is further behind is let go, and comes again.
_BEHIND = 100


class Broadcast:
    """Server-sent events of new frames and cycles.

    Args:
        stored: the store.
        domains: names.
        most: listeners at once.
    """

    def __init__(self, stored: Stored, domains: Sequence[str], most: int) -> None:
        self._stored, self._domains, self._most = stored, domains, most
        self._listeners: set[asyncio.Queue[str | None]] = set()
        self._task: asyncio.Task[None] | None = None

    def listen(self) -> AsyncIterator[str]:
        """Events from now on, as text; a comment now and then, by which lost listeners are noticed.

        Raises:
            BusyError: as many listen as may.
        """
        if len(self._listeners) >= self._most:
            raise BusyError("too many listeners")
        return self._events()

    async def _events(self) -> AsyncIterator[str]:
        if len(self._listeners) >= self._most:
            return
        queue: asyncio.Queue[str | None] = asyncio.Queue(_BEHIND)
        self._listeners.add(queue)
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        try:
            yield ": listening\n\n"
            while True:
                try:
                    news = await asyncio.wait_for(queue.get(), _ALIVE_SECONDS)
                except TimeoutError:
                    news = ": alive\n\n"
                if news is None:
                    return
                yield news
        finally:
            self._listeners.discard(queue)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _poll(self) -> None:
        known: set[tuple[str, str, str]] | None = None
        while True:
            try:
                found = await asyncio.to_thread(self._look)
            except Exception:  # noqa: BLE001  # the store may be back in a second
                _log.exception("the store cannot be read")
            else:
                for key in sorted(found.keys() - (found.keys() if known is None else known)):
                    self._tell(found[key])
                known = set(found)
            await asyncio.sleep(_POLL_SECONDS)

    def _look(self) -> dict[tuple[str, str, str], str]:
        """All that is there: time, kind and domain, and the event that tells of it."""
        found = {}
        for domain in self._domains:
            for frame in self._stored.frames(domain):
                found[frame, "frame", domain] = _event("frame", {"domain": domain, "frame": frame})
            for cycle in self._stored.cycles(domain):
                about = {"domain": domain, "cycle": cycle["cycle"], "state": cycle.get("state")}
                found[cycle["cycle"], "cycle", domain] = _event("cycle", about)
        return found

    def _tell(self, event: str) -> None:
        for queue in tuple(self._listeners):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._listeners.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)


def _event(kind: str, data: dict[str, str | None]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
