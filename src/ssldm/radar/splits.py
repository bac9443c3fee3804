"""Splits of archives that cannot leak: by date or by whole events, the same for all tiles of a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr

from ssldm.errors import ConfigurationError
from ssldm.radar.grid import latitude_longitude
from ssldm.radar.times import coinciding

EVENT_GAP = np.timedelta64(6, "h")
Split = dict[str, list[xr.DataArray]]


@dataclass(frozen=True)
class Event:
    """A stretch of time without a long break, both ends included."""

    start: np.datetime64
    end: np.datetime64


def events(series: Sequence[xr.DataArray], gap: np.timedelta64 = EVENT_GAP) -> list[Event]:
    """The events in some series: where none of them has a frame for longer than ``gap``, one ends."""
    times = np.unique(np.concatenate([data["time"].values for data in series]))
    breaks = np.flatnonzero(np.diff(times) > gap)
    starts, ends = np.r_[0, breaks + 1], np.r_[breaks, len(times) - 1]
    return [Event(times[i], times[j]) for i, j in zip(starts, ends, strict=True)]


def split_by_event(
    series: Sequence[xr.DataArray],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    gap: np.timedelta64 = EVENT_GAP,
) -> Split:
    """Whole events dealt out at random; each split has about its share of the frames, and one event at least.

    Args:
        series: lazily opened archives.
        shares: name of a split to its share; they are made to add up to one.
        seed: of the dealing.
        gap: what separates two events.

    Raises:
        ConfigurationError: fewer events than splits.
    """
    found = events(series, gap)
    if len(found) < len(shares):
        raise ConfigurationError(f"expected at least {len(shares)} events to split, found {len(found)}")
    total = sum(shares.values())
    order = np.random.default_rng(seed).permutation(len(found))
    frames = [_count(series, event) for event in found]
    dealt: dict[str, list[Event]] = {name: [] for name in shares}
    held = dict.fromkeys(shares, 0.0)
    for number in order:
        # To whoever is furthest below its share; one with nothing yet goes first.
        name = min(shares, key=lambda n: (held[n] > 0, held[n] / (shares[n] / total)))
        dealt[name].append(found[number])
        held[name] += max(frames[number], 1)
    return {
        name: [part for event in chosen for part in _during(series, event)] for name, chosen in dealt.items()
    }


def split_by_date(
    series: Sequence[xr.DataArray], periods: Mapping[str, tuple[np.datetime64, np.datetime64]]
) -> Split:
    """The frames of each period, both ends included.

    Raises:
        ConfigurationError: periods that overlap.
    """
    ordered = sorted(periods.items(), key=lambda item: item[1][0])
    for (first, (_, end)), (second, (start, _)) in pairwise(ordered):
        if start <= end:
            raise ConfigurationError(
                f"expected periods apart, found that {second} starts before {first} ends"
            )
    return {name: _during(series, Event(*period)) for name, period in periods.items()}


def check_disjoint(one: Sequence[xr.DataArray], other: Sequence[xr.DataArray]) -> None:
    """Two splits, once it is known that none has seen what the other is to be tested on.

    Raises:
        ConfigurationError: a place that both show at the same time.
    """
    for a in one:
        for b in other:
            common = coinciding(a["time"].values, b["time"].values)
            if len(common) and _overlapping(a, b):
                raise ConfigurationError(
                    f"expected splits without common frames, found {a.attrs.get('product')} "
                    f"{a.attrs.get('place', '')} and {b.attrs.get('product')} {b.attrs.get('place', '')} "
                    f"at {np.datetime_as_string(common[0], unit='m')} in both"
                )


def _count(series: Sequence[xr.DataArray], event: Event) -> int:
    return sum(part.sizes["time"] for part in _during(series, event))


def _during(series: Sequence[xr.DataArray], event: Event) -> list[xr.DataArray]:
    parts = [data.sel(time=slice(event.start, event.end)) for data in series]
    return [part for part in parts if part.sizes["time"]]


def _overlapping(a: xr.DataArray, b: xr.DataArray) -> bool:
    """Whether two series may show one place; tiles of a product without georeference always may."""
    box_a, box_b = _box(a), _box(b)
    if box_a is None or box_b is None:
        return bool(a.attrs.get("product") == b.attrs.get("product"))
    (south_a, north_a, west_a, east_a), (south_b, north_b, west_b, east_b) = box_a, box_b
    return max(south_a, south_b) < min(north_a, north_b) and max(west_a, west_b) < min(east_a, east_b)


def _box(data: xr.DataArray) -> tuple[float, float, float, float] | None:
    """South, north, west and east of a series in degrees, from its rim; None without georeference."""
    rims = [data.isel(y=[0, -1]), data.isel(x=[0, -1])]
    degrees = [latitude_longitude(rim.isel(time=slice(0, 0))) for rim in rims]
    if not degrees[0]:
        return None
    lat, lon = (np.concatenate([part[name].values.ravel() for part in degrees]) for name in ("lat", "lon"))
    return float(lat.min()), float(lat.max()), float(lon.min()), float(lon.max())
