"""Reflectivity, accumulation and rain rate, and what a text of units makes of numbers."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ssldm.config import Config

FloatArray = NDArray[np.floating[Any]]
# What counts as rain where a pixel is either wet or dry.
WET_MM_PER_HOUR = 0.1
# No radar measures less: what is weaker is a code for "not observed" that the file does not declare.
LEAST_DECIBEL = -90.0


class ZRRelation(Config):
    """Z = a R^b, Z in mm⁶ m⁻³ and R in mm/h; the defaults are those of Marshall and Palmer (1948)."""

    a: float = Field(default=200.0, gt=0.0, allow_inf_nan=False)
    b: float = Field(default=1.6, gt=0.0, allow_inf_nan=False)

    def rain_rate(self, reflectivity: FloatArray) -> FloatArray:
        """Rain rate in mm/h of reflectivity in dBZ; NaN stays NaN, minus infinity becomes 0."""
        return np.asarray((10.0 ** (reflectivity / 10.0) / self.a) ** (1.0 / self.b))


def rate_of_accumulation(accumulation: FloatArray, minutes: float) -> FloatArray:
    """Rain rate in mm/h of an accumulation in mm over ``minutes``."""
    return accumulation * (60.0 / minutes)


@dataclass(frozen=True)
class Quantity:
    """What numbers with some units are.

    Attributes:
        kind: rain rate, amount of rain, or reflectivity on a logarithmic scale.
        factor: makes mm/h of a rate and mm of an amount; 1 for dBZ.
    """

    kind: Literal["rate", "amount", "reflectivity"]
    factor: float


# From UDUNITS, to this package's: a kilogram of water on a square metre is a millimetre.
_KINDS: tuple[tuple[str, Literal["rate", "amount"]], ...] = (
    ("mm h-1", "rate"),
    ("kg m-2 h-1", "rate"),
    ("mm", "amount"),
    ("kg m-2", "amount"),
)
# In millimetres: what is counted in longer units is a distance, no rain.
_LONGEST = 1000.0
# UDUNITS takes mm/5min for a millimetre by five, times a minute, and 1/10 mm for the tenth of a reciprocal.
_DIVIDED_BY_SO_MANY = re.compile(r"(?:/|\bper\b)\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)", re.IGNORECASE)
_PART = re.compile(r"^1\s*/\s*(\d+)\s*(?=[A-Za-z])")
# mm 5min-1 may mean per five minutes, or five per minute; mm/5 and mm 12 lack a unit.
_AMBIGUOUS = re.compile(r"(?<![\w\-*^.])\d+(?:\.\d+)?\s*(?!e-?\d)[A-Za-z]+(?:\^|\*\*)?-1")
_INCOMPLETE = re.compile(r"(?:/\s*|\s)\d[\d.]*\s*'?$")
_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@lru_cache(maxsize=64)
def quantity_of(units: str) -> Quantity | None:
    """What units say, by UDUNITS: mm/h, kg m-2 s-1, mm/5min, in/hr, mm, dBZ; None for anything else."""
    text = units.strip().strip("[]").translate(_SUPERSCRIPTS)
    if text.lower() in {"dbz", "dbze"}:
        return Quantity("reflectivity", 1.0)
    # Some services write in capitals, in which UDUNITS knows no millimetre.
    return _by_udunits(text) or (_by_udunits(text.lower()) if text.isupper() else None)


def _by_udunits(text: str) -> Quantity | None:
    import cf_units

    if text.startswith("mmh"):
        text = text.replace("mmh", "mm h", 1)
    text = _PART.sub(lambda found: f"{1.0 / int(found[1]):.12g} " if int(found[1]) else "", text)
    text = _DIVIDED_BY_SO_MANY.sub(r"/(\1 \2)", text)
    if _AMBIGUOUS.search(text) or _INCOMPLETE.search(text):
        return None
    try:
        found = cf_units.Unit(text)
    except ValueError:
        return None
    for target, kind in _KINDS:
        if found.is_convertible(target):
            none, one, two = (found.convert(value, cf_units.Unit(target)) for value in (0.0, 1.0, 2.0))
            # UDUNITS converts reciprocals, logarithms and shifted scales as well.
            if none != 0.0 or not one > 0.0 or abs(two / one - 2.0) > 1e-6:
                return None
            # What conversions by way of seconds round off.
            factor = float(f"{one:.12g}")
            return Quantity(kind, factor) if kind == "rate" or factor <= _LONGEST else None
    return None
