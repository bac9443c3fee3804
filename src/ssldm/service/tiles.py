"""Tiles of observed frames and of maps of forecasts, each made once."""

from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from ssldm.products.grid import PixelGrid
from ssldm.service import tile_colours
from ssldm.service.cache import Cache
from ssldm.service.maps import map_of
from ssldm.service.mercator import Shown, View, shown_of
from ssldm.service.stored import Stored

_PICTURE_BYTES, _INDEX_BYTES = 2**26, 2**27

Field = NDArray[np.float32]


class Tiles:
    """Pictures of stored fields.

    Args:
        stored: where fields are read.

    Attributes:
        pictures: that were made.
    """

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self.pictures: Cache[bytes] = Cache(_PICTURE_BYTES, len)
        self._shown: Cache[Shown | None] = Cache(_INDEX_BYTES, lambda shown: shown.nbytes if shown else 100)

    def observed(
        self, domain: str, stamp: str, view: View, reflectivity: tile_colours.Reflectivity | None = None
    ) -> bytes:
        """A PNG of an observed frame, in colours or as reflectivity.

        Raises:
            NotThereError: no such frame.
        """
        grid = self._stored.frame(domain, stamp).grid
        return self._picture(
            (domain, stamp, reflectivity), grid, view, reflectivity or tile_colours.rain(),
            lambda factor: self._stored.observed(domain, stamp, factor),
        )  # fmt: skip

    def forecast(
        self, domain: str, stamp: str, product: str, minutes: str, view: View,
        reflectivity: tile_colours.Reflectivity | None = None,
    ) -> bytes:  # fmt: skip
        """A PNG of a map of a forecast.

        Args:
            domain: its name.
            stamp: of the cycle.
            product: a name that `ssldm.service.maps.map_of` knows.
            minutes: lead time as addresses have it.
            view: what is shown.
            reflectivity: for rain in place of colours.

        Raises:
            NotThereError: no such cycle, product or lead time.
        """
        # Also of what lies outside of the domain, so that all tiles of an address are there or none.
        self._stored.map(domain, stamp, product, minutes)
        grid = self._stored.forecast(domain, stamp).grid
        is_probability = map_of(product).is_probability
        palette = tile_colours.probability() if is_probability else reflectivity or tile_colours.rain()
        return self._picture(
            (domain, stamp, product, minutes, reflectivity), grid, view, palette,
            lambda factor: self._stored.field(domain, stamp, product, minutes, factor),
        )  # fmt: skip

    def coverage(self, domain: str, stamp: str, view: View) -> bytes:
        """A PNG that is black where a frame was not observed, or lies outside.

        Raises:
            NotThereError: no such frame.
        """
        shown = self._of(self._stored.frame(domain, stamp).grid, view)

        def make() -> bytes:
            covered = np.zeros((view.size, view.size), bool)
            if shown is not None:
                field = self._stored.observed(domain, stamp)
                covered = np.isfinite(field.ravel()[shown.nearest]) & (shown.nearest >= 0)
            return tile_colours.uncovered(covered)

        return self.pictures.get(("coverage", domain, stamp, view), make)

    def _picture(
        self,
        what: Hashable,
        grid: PixelGrid,
        view: View,
        palette: tile_colours.Palette | tile_colours.Reflectivity,
        field: Callable[[int], Field],
    ) -> bytes:
        def make() -> bytes:
            shown = self._of(grid, view)
            if shown is None:
                return tile_colours.transparent(view.size)
            values = shown.values(field(1), field(shown.factor))
            return palette.picture(values, shown.outside)

        return self.pictures.get((what, view), make)

    def _of(self, grid: PixelGrid, view: View) -> Shown | None:
        if grid.crs is None:
            return None
        return self._shown.get((grid, view), lambda: shown_of(grid, view))
