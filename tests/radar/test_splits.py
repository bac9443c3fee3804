"""Splits that cannot leak."""

from itertools import combinations

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ConfigurationError
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.splits import Split, check_disjoint, events, split_by_date, split_by_event

DAY = np.datetime64("2020-01-01", "ns")
HOUR = np.timedelta64(1, "h")


def tile(hours: list[int], place: str = "f1", product: str = "test", west: float = 0.0) -> xr.DataArray:
    """Frames of 2×2 pixels at some hours, on a map."""
    grid = Grid.from_edges((2, 2), west=west, east=west + 2e4, south=6e6, north=6.02e6, crs="EPSG:3067")
    times = [DAY + hour * HOUR for hour in hours]
    return observations(np.zeros((len(hours), 2, 2)), times, grid, {"product": product, "place": place})


def frames(series: list[xr.DataArray]) -> set[tuple[str, str, int]]:
    return {
        (data.attrs["product"], data.attrs["place"], int(time.astype("int64")))
        for data in series
        for time in data["time"].values
    }


def times(series: list[xr.DataArray]) -> set[int]:
    return {time for _, _, time in frames(series)}


def assert_no_leak(split: Split, series: list[xr.DataArray]) -> None:
    for one, other in combinations(split.values(), 2):
        assert not times(one) & times(other)
        check_disjoint(one, other)
    assert set.union(*map(frames, split.values())) <= frames(series)


# Two overlapping tiles whose frames interleave: split tile by tile, one would show what the other hides.
SERIES = [tile([0, 1, 2, 20, 21, 40, 60]), tile([1, 2, 3, 21, 22, 41, 80], "f4", west=1e4)]


def test_events_are_those_of_all_tiles_together() -> None:
    found = [((e.start - DAY) // HOUR, (e.end - DAY) // HOUR) for e in events(SERIES)]
    assert found == [(0, 3), (20, 22), (40, 41), (60, 60), (80, 80)]


@pytest.mark.parametrize("seed", range(5))
def test_a_split_by_event_does_not_leak_and_loses_nothing(seed: int) -> None:
    split = split_by_event(SERIES, {"train": 0.6, "validation": 0.2, "test": 0.2}, seed=seed)
    assert_no_leak(split, SERIES)
    assert set.union(*map(frames, split.values())) == frames(SERIES)
    assert all(split.values())
    again = split_by_event(SERIES, {"train": 0.6, "validation": 0.2, "test": 0.2}, seed=seed)
    assert {name: frames(part) for name, part in again.items()} == {n: frames(p) for n, p in split.items()}


def test_shares_are_kept() -> None:
    series = [tile(list(range(0, 7 * 400, 7)))]
    split = split_by_event(series, {"train": 3.0, "validation": 1.0})
    assert len(times(split["train"])) == pytest.approx(300, abs=2)


def test_a_split_by_date_does_not_leak() -> None:
    split = split_by_date(
        SERIES, {"train": (DAY, DAY + 21 * HOUR), "validation": (DAY + 22 * HOUR, DAY + 50 * HOUR)}
    )
    assert_no_leak(split, SERIES)
    with pytest.raises(ConfigurationError, match="validation starts before train ends"):
        split_by_date(SERIES, {"train": (DAY, DAY + HOUR), "validation": (DAY + HOUR, DAY + 2 * HOUR)})


def test_too_few_events_are_named() -> None:
    with pytest.raises(ConfigurationError, match="at least 2 events to split, found 1"):
        split_by_event([tile([0, 1])], {"train": 0.5, "validation": 0.5})


def test_a_leak_is_named() -> None:
    with pytest.raises(ConfigurationError, match="f1 and test f4 at 2020-01-01T01:00 in both"):
        check_disjoint(SERIES[:1], SERIES[1:])
    # Another service that shows the same place at the same time tells as much.
    with pytest.raises(ConfigurationError, match="in both"):
        check_disjoint(SERIES[:1], [tile([2], product="other")])
    check_disjoint(SERIES[:1], [tile([2], product="other", west=5e5)])
    check_disjoint(SERIES[:1], [tile([4, 5], "f4")])
