"""The process that forecasts: looks at the files, answers each frame with a cycle, keeps the store."""

import threading
from collections.abc import Callable
from time import sleep

from ssldm.errors import ObservationError
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.service.config import ServiceConfig
from ssldm.service.domain import Domain
from ssldm.service.status import Status
from ssldm.service.store import Store
from ssldm.service.times import Clock, seconds_of

_LEAST_POLL_SECONDS = 0.2


class Forecaster:
    """Forecasts of all domains of a service.

    Args:
        config: the service.
        store: to keep them in.
        clock: the time.
        model: the model of a name; loaded once for all domains that ask for it.
    """

    def __init__(
        self,
        config: ServiceConfig,
        store: Store,
        clock: Clock,
        model: Callable[[str], Nowcaster] = Nowcaster.from_pretrained,
    ) -> None:
        self.config, self.store, self.clock = config, store, clock
        models = {name: model(name) for name in dict.fromkeys(domain.model for domain in config.domains)}
        self.domains = [
            Domain(domain, config, store, clock, models[domain.model]) for domain in config.domains
        ]
        self.status = Status(store)

    def round(self) -> bool:
        """Look once at each domain, and answer at most one cycle of it; whether there was one."""
        answered = False
        for domain in self.domains:
            try:
                answered |= domain.round(self.status)
                self.status.clear(domain.name)
            except ObservationError as error:
                self.status.report(domain.name, str(error))
            except OSError as error:
                # The disk is full, or the store is gone: what is not in it is answered when it is back.
                self.status.report(domain.name, f"store: {error.strerror or type(error).__name__}")
        return answered

    def run(self) -> None:
        """Go on for ever."""
        poll = max(seconds_of(self.config.poll) / self.clock.speed, _LEAST_POLL_SECONDS)
        threading.Thread(target=self.status.beat, daemon=True).start()
        while True:
            if not self.round():
                sleep(poll)

    def close(self) -> None:
        """End what was begun."""
        for domain in self.domains:
            domain.watch.close()
