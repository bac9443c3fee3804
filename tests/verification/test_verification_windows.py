"""Which windows are verified, and which events they belong to."""

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.simulation import simulate
from ssldm.verification.windows import observed_quantiles, windows


@pytest.fixture(scope="module")
def storm() -> xr.DataArray:
    return simulate(11, (70, 140), seed=1)


def test_windows_are_disjoint_and_centred(storm: xr.DataArray) -> None:
    found = windows([storm], frames=5, size=64)
    assert len(found) == 2 * 2
    assert {(w.start, w.rows, w.columns) for w in found} == {
        (start, (3, 67), columns) for start in (0, 5) for columns in ((6, 70), (70, 134))
    }
    cut = found[-1].of([storm], 5)
    xr.testing.assert_identical(cut, storm[5:10, 3:67, 70:134])
    assert len({window.name for window in found}) == 4


def test_windows_may_overlap_in_time_and_be_whole_domains(storm: xr.DataArray) -> None:
    found = windows([storm], frames=5, every=2)
    assert [w.start for w in found] == [0, 2, 4, 6]
    assert {(w.rows, w.columns) for w in found} == {((0, 70), (0, 140))}


def test_windows_have_no_gaps_and_are_observed(storm: xr.DataArray) -> None:
    gappy = storm.isel(time=[0, 1, 2, 4, 5, 6, 7, 8, 9, 10])
    assert [w.start for w in windows([gappy], frames=3)] == [0, 3, 6]
    half = storm.copy()
    half[:5, :, :69] = np.nan  # left tile unobserved in the first window
    assert [(w.start, w.columns[0]) for w in windows([half], frames=5, size=64)] == [
        (0, 70),
        (5, 6),
        (5, 70),
    ]
    with pytest.raises(ObservationError, match="found none"):
        windows([storm], frames=12)


@pytest.mark.parametrize(("observed", "count"), [(0.3, 4), (0.5, 3)])
def test_windows_are_observed_on_average_over_their_frames(
    storm: xr.DataArray, observed: float, count: int
) -> None:
    seldom = storm.copy()
    seldom[:3, :, :70] = np.nan  # the left tile, in three of the first window's five frames
    assert len(windows([seldom], frames=5, size=64, observed=observed)) == count


def later(data: xr.DataArray, hours: int, **attributes: str) -> xr.DataArray:
    shifted = data.assign_coords(time=data["time"] + np.timedelta64(hours, "h"))
    return shifted.assign_attrs(attributes)


def test_events_are_told_apart_by_product_and_by_time(storm: xr.DataArray) -> None:
    series = [
        later(storm, 0, product="a", place="one"),
        later(storm, 1, product="a", place="two"),  # the same event as the first
        later(storm, 12, product="a", place="one"),
        later(storm, 0, product="b"),
    ]
    found = windows(series, frames=11)
    events = [window.event for window in found]
    assert events[0] == events[1]
    assert len(set(events)) == 3
    assert [event[0] for event in events] == ["a", "a", "a", "b"]
    assert len({window.name for window in found}) == 4


def test_an_event_ends_after_a_day(storm: xr.DataArray) -> None:
    series = [later(storm, hours, product="a") for hours in range(0, 48, 3)]
    events = [window.event for window in windows(series, frames=11)]
    assert len(set(events)) == 2
    assert events.count(events[0]) == 8


def test_quantiles_are_those_of_the_observed_pixels() -> None:
    fields = np.random.default_rng(0).gamma(0.5, 4.0, (6, 50, 50))
    fields[0, :10] = np.nan
    wanted = (0.5, 0.9, 0.99, 0.999)
    found = observed_quantiles(fields, wanted)
    np.testing.assert_allclose(found, np.nanquantile(fields, wanted), rtol=0.02)
    assert observed_quantiles(np.zeros((2, 5, 5)), (0.99,)) == [None]
    assert observed_quantiles([], (0.99,)) == [None]
