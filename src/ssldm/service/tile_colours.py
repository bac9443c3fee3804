"""Colours of tiles and of the legend, and pictures made of them."""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssldm.rain_maps import LEVELS, PROBABILITIES, UNOBSERVED, probability_colours, rain_colours

_TRANSPARENT, _TRANSLUCENT, _OPAQUE = 0, 110, 255
_DECIBEL_OFFSET, _MOST_GREY = 32, 127
# Values of the store are rounded.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Palette:
    """Classes of values and their colours.

    Attributes:
        least: of each class but the first, which is transparent.
        colours: of these classes, as ``#rrggbb``.
        unobserved: of what is not known.
    """

    least: tuple[float, ...]
    colours: tuple[str, ...]
    unobserved: str

    def picture(self, values: NDArray[np.float32], outside: NDArray[np.bool_]) -> bytes:
        """A PNG of values ``(h, w)``, transparent outside."""
        classes = np.searchsorted(np.asarray(self.least) - _ROUNDING, values, side="right").astype(np.uint8)
        classes[np.isnan(values)] = len(self.colours) + 1
        classes[outside] = 0
        table = b"".join(bytes.fromhex(each[1:]) for each in ("#000000", *self.colours, self.unobserved))
        alpha = bytes([_TRANSPARENT, *[_OPAQUE] * len(self.colours), _TRANSLUCENT])
        return _png(classes, table, alpha)

    def legend(self) -> list[dict[str, Any]]:
        """Classes as the page shows them."""
        return [
            {"from": round(least, 6), "colour": colour}
            for least, colour in zip(self.least, self.colours, strict=True)
        ]


@dataclass(frozen=True)
class Reflectivity:
    """Rain rates as RainViewer's scheme 0 has them: grey values of reflectivity in dBZ plus 32, 0 where dry.

    Of Z = 200 R^1.6 (Marshall and Palmer 1948), as products of rain rate have none of their own.
    """

    def picture(self, values: NDArray[np.float32], outside: NDArray[np.bool_]) -> bytes:
        """A PNG of rates ``(h, w)`` in mm/h, transparent outside and where nothing was observed."""
        from PIL import Image

        unknown = outside | np.isnan(values)
        decibels = 10.0 * np.log10(200.0) + 16.0 * np.log10(np.maximum(values, 1e-3))
        grey = np.where(values > 0.0, np.clip(np.rint(decibels) + _DECIBEL_OFFSET, 0, _MOST_GREY), 0)
        layers = np.stack([np.where(unknown, 0, grey), np.where(unknown, _TRANSPARENT, _OPAQUE)], axis=-1)
        out = BytesIO()
        Image.fromarray(layers.astype(np.uint8), "LA").save(out, "PNG", compress_level=5)
        return out.getvalue()


@lru_cache(maxsize=1)
def rain() -> Palette:
    """Of rates in mm/h, and amounts in mm."""
    colour_map, _ = rain_colours()
    over = colour_map(2.0 * colour_map.N)
    return Palette(LEVELS, tuple(map(_hex, (*colour_map.colors, over))), _hex(UNOBSERVED))


@lru_cache(maxsize=1)
def probability() -> Palette:
    """Of probabilities."""
    colour_map, _ = probability_colours()
    least = tuple(float(each) for each in PROBABILITIES[:-1])
    return Palette(least, tuple(map(_hex, colour_map.colors)), _hex(UNOBSERVED))


@lru_cache(maxsize=4)
def transparent(size: int) -> bytes:
    """A PNG of nothing."""
    return _png(np.zeros((size, size), np.uint8), bytes(6), bytes([_TRANSPARENT, _TRANSPARENT]))


def uncovered(covered: NDArray[np.bool_]) -> bytes:
    """A PNG that is black but where something is covered ``(h, w)``."""
    return _png(np.where(covered, 0, 1).astype(np.uint8), bytes(6), bytes([_TRANSPARENT, _OPAQUE]))


def _png(classes: NDArray[np.uint8], table: bytes, alpha: bytes) -> bytes:
    from PIL import Image

    picture = Image.fromarray(classes, "P")
    picture.putpalette(table)
    out = BytesIO()
    picture.save(out, "PNG", bits=4, compress_level=5, transparency=alpha)
    return out.getvalue()


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return str(to_hex(colour))
