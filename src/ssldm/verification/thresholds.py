"""Thresholds by name, number or percentile, all turned into rain rates."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ssldm.errors import ConfigurationError
from ssldm.radar.formats.sevir import DEPTH, liquid_of_byte, rain_of_liquid
from ssldm.radar.units import ZRRelation

SETS: dict[str, tuple[str, ...]] = {
    "default": ("0.5", "2", "8"),
    "ldcast": ("0.1", "0.3", "1", "3", "10", "30"),
    "sevir": ("16VIL", "74VIL", "133VIL", "160VIL", "181VIL", "219VIL"),
    "hko7": ("0.5", "2", "5", "10", "30"),
    "meteonet": ("12dBZ", "18dBZ", "24dBZ", "32dBZ"),
}
"""LDCast's (Leinonen et al. 2023), SEVIR's (Veillette et al. 2020), HKO-7's (Shi et al. 2017), and those of
DiffCast on MeteoNet (Yu et al. 2024)."""

_ENTRY = re.compile(r"(?P<percentile>p)?(?P<number>\d+(\.\d+)?)(?P<unit>mm/h|dBZ|VIL)?")

# From probabilities to observed quantiles in mm/h, None in the dry.
Quantiles = Callable[[Sequence[float]], Sequence[float | None]]


@dataclass(frozen=True, order=True)
class Threshold:
    """A rain rate in mm/h, and what it was asked for as."""

    rate: float
    name: str

    @property
    def label(self) -> str:
        """The name, with the rate where it does not tell."""
        return self.name if self.name.endswith("mm/h") else f"{self.name} ({self.rate:.3g} mm/h)"


def thresholds(text: str, series: Sequence[xr.DataArray], quantiles: Quantiles) -> tuple[Threshold, ...]:
    """The thresholds that a text asks for, in rising order and each rate once.

    Args:
        text: entries with commas between: a name in `SETS`, a number (mm/h; or with a unit: ``12dBZ``,
            ``74VIL``), or a percentile of the observed pixels (``p99``), left out where it is dry.
        series: the observations; their attributes say how they were converted to mm/h.
        quantiles: of the observations, asked for at most once.

    Raises:
        ConfigurationError: something else, or a unit that these observations do not have.
    """
    entries = [part for name in text.split(",") if name for part in SETS.get(name, (name,))]
    matches = {entry: _ENTRY.fullmatch(entry) for entry in entries}
    found: list[Threshold] = []
    wanted: dict[str, float] = {}
    for entry, match in matches.items():
        if match is None or (match["percentile"] and (match["unit"] or not 0 < float(match["number"]) < 100)):
            raise ConfigurationError(
                f"expected thresholds like 0.5, 12dBZ, 74VIL, p99 or a set ({', '.join(SETS)}), "
                f"found {entry!r}"
            )
        if match["percentile"]:
            wanted[entry] = float(match["number"]) / 100.0
        else:
            rate = _rate(float(match["number"]), match["unit"], series)
            found.append(Threshold(rate, entry if match["unit"] else f"{match['number']} mm/h"))
    if wanted:
        rates = quantiles(list(wanted.values()))
        found += [Threshold(rate, name) for name, rate in zip(wanted, rates, strict=True) if rate is not None]
    if any(threshold.rate <= 0.0 for threshold in found):
        raise ConfigurationError(f"expected thresholds above 0 mm/h, found {text!r}")
    unique = {threshold.rate: threshold for threshold in reversed(found)}
    if not unique:
        raise ConfigurationError(f"expected thresholds that are not dry, found {text!r}")
    return tuple(sorted(unique.values()))


def _rate(number: float, unit: str | None, series: Sequence[xr.DataArray]) -> float:
    if unit in (None, "mm/h"):
        return number
    relation = _relation(series)
    if unit == "dBZ":
        return float(np.float32(relation.rain_rate(np.array([number]))[0]))
    if any(data.attrs.get("vil_depth") != DEPTH for data in series):
        raise ConfigurationError(
            "expected vertically integrated liquid (SEVIR) for thresholds in VIL, found "
            + ", ".join(sorted({str(data.attrs.get("product", "unknown")) for data in series}))
        )
    if number not in range(255):
        raise ConfigurationError(f"expected VIL as a pixel value from 0 to 254, found {number:g}")
    return float(np.float32(rain_of_liquid(liquid_of_byte(), relation)[int(number)]))


def _relation(series: Sequence[xr.DataArray]) -> ZRRelation:
    """The one relation by which the observations were converted; Marshall-Palmer where none is recorded."""
    default = ZRRelation()
    found = {
        (float(data.attrs.get("zr_a", default.a)), float(data.attrs.get("zr_b", default.b)))
        for data in series
    }
    if len(found) > 1:
        raise ConfigurationError(
            f"expected one Z-R relation for thresholds in dBZ or VIL, found {sorted(found)}"
        )
    a, b = found.pop()
    return ZRRelation(a=a, b=b)
