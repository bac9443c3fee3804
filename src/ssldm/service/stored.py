"""The store as requests read it: lists that hold for a moment, opened forecasts, and fields in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.products.grid import PixelGrid
from ssldm.service.cache import Cache
from ssldm.service.maps import lead_index, map_of, read
from ssldm.service.refusals import NotThereError
from ssldm.service.store import Record, Store
from ssldm.service.times import time_of
from ssldm.shrunk_image import shrunk

LATEST = "latest"
# Seconds that a list holds, and how much is kept: bytes of fields, numbers of opened forecasts and frames.
_MOMENT = 1.0
_FIELD_BYTES, _OPENED, _MAPS, _GRIDS = 2**28, 256, 4096, 64

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Opened:
    """A forecast or frame whose values are not read yet, and where its pixels are."""

    data: Any
    grid: PixelGrid


class Stored:
    """What requests read of a store; each list, grid and field is read once for all.

    Args:
        store: to read.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lists: Cache[Any] = Cache(1024)
        self._opened: Cache[Opened] = Cache(_OPENED)
        self._maps: Cache[xr.DataArray] = Cache(_MAPS)
        self._fields: Cache[Field] = Cache(_FIELD_BYTES, lambda field: field.nbytes)
        self._grids: Cache[PixelGrid] = Cache(_GRIDS)

    def about(self, domain: str) -> Record:
        """What is offered of a domain; empty before its first forecast."""
        return self._for_a_moment("about", domain, lambda: self.store.about(domain)) or {}

    def frames(self, domain: str) -> list[str]:
        """Stamps of observed frames, oldest first."""
        found: list[str] = self._for_a_moment("frames", domain, lambda: self.store.frames(domain))
        return found

    def cycles(self, domain: str) -> list[Record]:
        """Summaries of cycles, oldest first."""
        found: list[Record] = self._for_a_moment("cycles", domain, lambda: self.store.cycles(domain))
        return found

    def newest(self, domain: str) -> Record | None:
        """Summary of the newest cycle that has a forecast."""
        made = (cycle for cycle in reversed(self.cycles(domain)) if cycle.get("state") != "none")
        return next(made, None)

    def records(self, domain: str, kind: str) -> list[Record]:
        """Records of a kind."""
        found: list[Record] = self._for_a_moment(kind, domain, lambda: self.store.records(domain, kind))
        return found

    def status(self) -> Record:
        """What the forecaster last said of itself."""
        found: Record = self._for_a_moment("status", "", self.store.status)
        return found

    def cycle(self, domain: str, stamp: str) -> Record:
        """Summary of a cycle, by its stamp; by `LATEST` of the newest that has a forecast.

        Raises:
            NotThereError: none.
        """
        if stamp == LATEST:
            found = self.newest(domain)
            if found is None:
                raise NotThereError("no forecast yet")
            return found
        found = self.store.cycle(domain, stamp) if time_of(stamp) is not None else None
        if found is None:
            raise NotThereError("no such cycle")
        return found

    def forecast(self, domain: str, stamp: str) -> Opened:
        """Members and maps of a cycle.

        Raises:
            NotThereError: no such cycle, or one without a forecast.
        """
        if self.cycle(domain, stamp).get("state") == "none":
            raise NotThereError("no forecast could be made in this cycle")

        def opened() -> Opened:
            with self._still_there(domain, stamp, "cycle"):
                data = self.store.forecast(domain, stamp)
                return Opened(data, self._one_grid(PixelGrid.of(data)))

        return self._opened.get(("forecast", domain, stamp), opened)

    def map(self, domain: str, stamp: str, product: str, minutes: str) -> xr.DataArray:
        """A map ``(y, x)`` of a cycle, not read yet.

        Args:
            domain: its name.
            stamp: of the cycle.
            product: a name that `ssldm.service.maps.map_of` knows.
            minutes: lead time as addresses have it.

        Raises:
            NotThereError: no such cycle, product or lead time.
        """
        forecast = self.forecast(domain, stamp).data

        def chosen() -> xr.DataArray:
            number = lead_index(forecast, minutes)
            return map_of(product).of(forecast).isel(lead_time=number)

        return self._maps.get((domain, stamp, product, minutes), chosen)

    def field(self, domain: str, stamp: str, product: str, minutes: str, factor: int = 1) -> Field:
        """A map ``(y, x)`` of a cycle in mm/h, mm or as a share; maxima of blocks of ``factor`` pixels.

        Raises:
            NotThereError: no such cycle, product or lead time.
        """
        chosen = self.map(domain, stamp, product, minutes)
        key = (domain, stamp, product, minutes)

        def whole() -> Field:
            with self._still_there(domain, stamp, "cycle"):
                return read(chosen)

        return self._shrunk(key, factor, self._fields.get((*key, 1), whole))

    def frame(self, domain: str, stamp: str) -> Opened:
        """An observed frame.

        Raises:
            NotThereError: none.
        """
        if time_of(stamp) is None or (
            stamp not in self.frames(domain) and stamp not in self.store.frames(domain)
        ):
            raise NotThereError("no such frame")

        def opened() -> Opened:
            with self._still_there(domain, stamp, "frame"):
                data = self.store.observed(domain, stamp)
                return Opened(data, self._one_grid(PixelGrid.of_fields(data)))

        return self._opened.get(("frame", domain, stamp), opened)

    def observed(self, domain: str, stamp: str, factor: int = 1) -> Field:
        """An observed frame ``(y, x)`` in mm/h, as `field`.

        Raises:
            NotThereError: none.
        """
        frame = self.frame(domain, stamp)
        key = (domain, stamp, "observed", 0)

        def whole() -> Field:
            with self._still_there(domain, stamp, "frame"):
                return read(frame.data)

        return self._shrunk(key, factor, self._fields.get((*key, 1), whole))

    @contextmanager
    def reading(self, domain: str, stamp: str) -> Iterator[Opened]:
        """A forecast to read values of, which are known to be there when it ends.

        Raises:
            NotThereError: no such cycle, or it was taken away while it was read.
        """
        forecast = self.forecast(domain, stamp)
        with self._still_there(domain, stamp, "cycle"):
            yield forecast

    @contextmanager
    def _still_there(self, domain: str, stamp: str, kind: str) -> Iterator[None]:
        """Values of what is taken away meanwhile turn unknown, or cannot be read."""

        def gone() -> bool:
            if kind == "cycle":
                return self.store.cycle(domain, stamp) is None
            return stamp not in self.store.frames(domain)

        try:
            yield
        except NotThereError:
            raise
        except Exception as error:
            if gone():
                raise NotThereError(f"no such {kind}") from error
            raise
        if gone():
            raise NotThereError(f"no such {kind}")

    def _one_grid(self, grid: PixelGrid) -> PixelGrid:
        """The same object for all frames and forecasts of a grid."""
        wkt = grid.crs.to_wkt() if grid.crs is not None else None
        numbers = grid.y, grid.x, grid.dy, grid.dx, grid.height, grid.width
        return self._grids.get((*numbers, wkt), lambda: grid)

    def _shrunk(self, key: tuple[Any, ...], factor: int, field: Field) -> Field:
        if factor == 1:
            return field
        height, width = (max(side // factor, 1) for side in field.shape)
        return self._fields.get(
            (*key, factor), lambda: np.asarray(shrunk(field, (height, width)), np.float32)
        )

    def _for_a_moment(self, kind: str, domain: str, make: Any) -> Any:
        return self._lists.get((kind, domain, int(monotonic() / _MOMENT)), make)
