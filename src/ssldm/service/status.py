"""What the forecaster says of itself, now and then."""

import logging
from time import sleep

import numpy as np

from ssldm.service.store import Store
from ssldm.service.times import iso

_log = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 5.0


class Status:
    """Counts since the forecaster began, and what is wrong.

    Args:
        store: to write it to.

    Attributes:
        cycles, degraded: answered, and of these those with less than was asked for.
        queue: by domain, frames that wait.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._errors: dict[str, str] = {}
        self._unwritten = False
        self.cycles = self.degraded = 0
        self.queue: dict[str, int] = {}

    def clear(self, domain: str) -> None:
        """Nothing is wrong with a domain."""
        self._errors.pop(domain, None)

    def report(self, domain: str, error: str) -> None:
        """Something is; said once in the log."""
        if self._errors.get(domain) != error:
            _log.error(error, extra={"domain": domain})
        self._errors[domain] = error

    def beat(self) -> None:
        """Write the status every few seconds, whatever else is done."""
        while True:
            self.write()
            sleep(_HEARTBEAT_SECONDS)

    def write(self) -> None:
        """Write the status; a store that cannot be written to is known by the heartbeat that is missing."""
        errors = list(self._errors.values())
        try:
            self._store.put_status(
                {
                    "heartbeat": iso(np.datetime64("now")),
                    "queue": sum(self.queue.values()),
                    "cycles": self.cycles,
                    "degraded": self.degraded,
                    "errors": [error for error in errors if not error.startswith("store: ")],
                    "store_error": next((each for each in errors if each.startswith("store: ")), None),
                }
            )
            self._unwritten = False
        except Exception as error:  # noqa: BLE001  # of any file system; the next may pass
            if self._unwritten:
                return
            self._unwritten = True
            _log.error(  # one line
                "the status cannot be written", extra={"error": type(error).__name__}
            )
