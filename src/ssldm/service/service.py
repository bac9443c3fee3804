"""What all requests share: the configuration, the store as it is read, and what was made for others."""

import json
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from ssldm.service.answers import json_bytes
from ssldm.service.broadcast import Broadcast
from ssldm.service.cache import Cache, Gate
from ssldm.service.config import DomainConfig, ServiceConfig
from ssldm.service.downloads import Download
from ssldm.service.refusals import NotThereError
from ssldm.service.store import Record, Store
from ssldm.service.stored import Stored
from ssldm.service.tiles import Tiles
from ssldm.service.times import Clock, time_of

_TEXT_BYTES, _FILE_BYTES = 2**25, 2**31
# What a small file counts, as each is open: so that there are no more than 128.
_LEAST_FILE = 2**24
# What takes long, at once of a kind; the others' time to wait in seconds.
_AT_ONCE, _WAIT = 3, 10.0


@dataclass(frozen=True)
class Service:
    """State of an app.

    Attributes:
        config: what is offered.
        clock: the time.
        stored: the store.
        tiles: pictures.
        texts: bodies of answers of a cycle.
        files: downloads; kept on the disk without a name.
        areas, writing: gates of what takes long.
        broadcast: news for those who listen.
    """

    config: ServiceConfig
    clock: Clock
    stored: Stored
    tiles: Tiles
    broadcast: Broadcast
    texts: Cache[bytes] = field(default_factory=lambda: Cache(_TEXT_BYTES, len))
    files: Cache[Download] = field(
        default_factory=lambda: Cache(_FILE_BYTES, lambda file: max(file.size, _LEAST_FILE))
    )
    areas: Gate = field(default_factory=lambda: Gate(_AT_ONCE, _WAIT))
    writing: Gate = field(default_factory=lambda: Gate(_AT_ONCE, _WAIT))

    @classmethod
    def of(cls, config: ServiceConfig, store: Store, clock: Clock) -> "Service":
        """That of a configuration."""
        stored = Stored(store)
        names = [domain.name for domain in config.domains]
        return cls(config, clock, stored, Tiles(stored), Broadcast(stored, names, config.limits.streams))

    def domain(self, name: str) -> DomainConfig:
        """A domain.

        Raises:
            NotThereError: none of this name.
        """
        found = self.config.domain(name)
        if found is None:
            raise NotThereError("no such domain")
        return found

    def skill(self, name: str) -> Record:
        """How the forecasts of a domain did, over the last hours of its frames."""
        from ssldm.service.skill import HOURS, KIND, recent, skill_of

        frames, records = self.stored.frames(name), self.stored.records(name, KIND)
        newest = time_of(frames[-1]) if frames else None
        last_hours = [] if newest is None else recent(records, newest)
        # Samples of frames are drawn for the intervals, which takes a moment.
        key = ("skill", name, frames[-1] if frames else None, len(records))
        text = self.texts.get(key, lambda: json_bytes(skill_of(last_hours)))
        return {"hours": HOURS, "calibrated": self.config.calibrate, **json.loads(text)}

    def alarms(self, domain: DomainConfig) -> Record:
        """Rules and alarms of a domain."""
        from ssldm.service.alarms import KIND, alarms_of

        return alarms_of(domain.alarms, self.stored.records(domain.name, KIND))


async def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


ServiceOf = Annotated[Service, Depends(_service)]


async def _domain(domain: str, service: ServiceOf) -> DomainConfig:
    return service.domain(domain)


KnownDomain = Annotated[DomainConfig, Depends(_domain)]
