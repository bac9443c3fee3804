"""The frames that a forecast starts from."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ssldm.errors import ConfigurationError, InputRepaired, NoDataError, ObservationError
from ssldm.radar.context import frame_between, latest_context
from ssldm.radar.simulation import simulate


@pytest.fixture(scope="module")
def storm() -> xr.DataArray:
    return simulate(9, (64, 64), seed=1)


def taken(storm: xr.DataArray, context: xr.DataArray) -> list[int]:
    """Which frames of the storm a context has."""
    return [int(np.flatnonzero(storm["time"].values == time)[0]) for time in context["time"].values]


def without(storm: xr.DataArray, *frames: int) -> xr.DataArray:
    return storm.isel(time=[i for i in range(storm.sizes["time"]) if i not in frames])


def test_the_newest_frames_are_taken(storm: xr.DataArray) -> None:
    context = latest_context(storm, 4)
    xr.testing.assert_identical(context, storm[-4:].astype(np.float32))


def test_no_frame_after_the_reference_time_is_taken(storm: xr.DataArray) -> None:
    for asked in (
        storm["time"].values[6],
        str(storm["time"].values[6]),
        pd.Timestamp(storm["time"].values[6]),
    ):
        assert taken(storm, latest_context(storm, 4, reference_time=asked)) == [3, 4, 5, 6]


def test_frames_older_than_a_step_are_refused_unless_they_may_be(storm: xr.DataArray) -> None:
    newest = storm["time"].values[-1]
    for minutes, allowed, fine in (
        (5, None, True),
        (6, None, False),
        (1440, None, False),
        (60, "1h", True),
        (61, "1h", False),
    ):
        arguments = {"reference_time": newest + np.timedelta64(minutes, "m"), "max_age": allowed}
        if fine:
            assert taken(storm, latest_context(storm, 4, **arguments)) == [5, 6, 7, 8]
        else:
            with pytest.raises(NoDataError, match=f"{minutes} minutes before|24 hours before"):
                latest_context(storm, 4, **arguments)
    with pytest.raises(NoDataError, match="found the newest"):
        latest_context(storm, 4, reference_time="now")
    with pytest.raises(NoDataError, match="found the newest"):
        latest_context(storm, 4, max_age="10min")  # now, where no time is given


def test_one_missing_frame_is_bridged_where_that_is_asked_for(storm: xr.DataArray) -> None:
    for missing in (5, 6, 7):
        gapped = without(storm, missing)
        with pytest.raises(ObservationError, match="equal step"):
            latest_context(gapped, 4)
        with pytest.warns(InputRepaired, match="interpolated"):
            context = latest_context(gapped, 4, bridge=True)
        assert taken(storm, context) == [5, 6, 7, 8]
        assert context.attrs["frames_interpolated"] in str(storm["time"].values[missing])
        made, real = context.values[missing - 5], storm.values[missing]
        known = np.isfinite(made)
        assert known.mean() > 0.95
        earlier = storm.values[missing - 1]
        # Nearer to the frame that is missing than either neighbour.
        assert np.abs(made - real)[known].mean() < 0.7 * np.abs(earlier - real)[known].mean()
    xr.testing.assert_identical(latest_context(storm, 4, bridge=True), latest_context(storm, 4))


def test_where_more_frames_are_missing_the_newest_complete_ones_are_taken_if_young_enough(
    storm: xr.DataArray,
) -> None:
    gapped = without(storm, 6, 7)
    with pytest.raises(NoDataError, match="found none of"):
        latest_context(gapped, 4, bridge=True)
    assert taken(
        storm, latest_context(gapped, 4, bridge=True, max_age="20min", reference_time=storm["time"].values[8])
    ) == [2, 3, 4, 5]


def test_a_frame_between_two_lies_between_them() -> None:
    first = np.zeros((64, 64), np.float32)
    first[24:36, 20:32] = 8.0
    first[28:32, 24:28] = 20.0
    last = np.roll(first, 6, axis=1)
    made = frame_between(first, last)
    centre = (np.nan_to_num(made).sum(axis=0) * np.arange(64)).sum() / np.nansum(made)
    wanted = (np.roll(first, 3, axis=1).sum(axis=0) * np.arange(64)).sum() / first.sum()
    assert centre == pytest.approx(wanted, abs=0.5)
    holed = first.copy()
    holed[:5] = np.nan
    assert np.isnan(frame_between(holed, np.where(np.isnan(holed), np.nan, last))[:4]).all()


def test_a_frame_that_is_wholly_unobserved_is_as_good_as_missing(storm: xr.DataArray) -> None:
    blank = storm.copy(deep=True)
    blank[7] = np.nan
    with pytest.warns(InputRepaired) as told:
        context = latest_context(blank, 4, bridge=True)
    assert taken(storm, context) == [5, 6, 7, 8]
    assert ["taken for missing" in str(note.message) for note in told] == [True, False]
    assert np.isfinite(context.values[2]).mean() > 0.9
    blank[7:] = np.nan  # the newest, too
    with pytest.warns(InputRepaired, match="taken for missing"):
        assert taken(storm, latest_context(blank, 4, bridge=True)) == [3, 4, 5, 6]


def test_frames_without_a_common_pixel_are_refused(storm: xr.DataArray) -> None:
    with pytest.raises(NoDataError, match="wholly unobserved"):
        latest_context(storm.where(False), 4)
    blank = storm.copy(deep=True)
    blank[6] = np.nan
    with pytest.raises(NoDataError, match="wholly unobserved"):
        latest_context(blank, 4)


def test_values_that_are_no_rain_blank_no_more_than_their_own_pixel(storm: xr.DataArray) -> None:
    for value in (np.inf, 5000.0):
        wrong = storm.copy(deep=True)
        wrong[8, 3, 4] = value
        with pytest.warns(InputRepaired, match="count as unobserved"):
            context = latest_context(wrong, 4)
        unobserved = np.argwhere(np.isnan(context.values) & ~np.isnan(storm.values[5:]))
        np.testing.assert_array_equal(unobserved, [[3, 3, 4]])
    noisy = storm.copy(data=np.where(storm.values == 0.0, np.float32(-1e-7), storm.values))
    np.testing.assert_array_equal(latest_context(noisy, 4).values, storm.values[5:])
    with pytest.raises(ObservationError, match="at least 0 mm/h"):
        latest_context(storm - 1.0, 4)


@pytest.mark.parametrize("dtype", ["f2", "f8", "i4"])
def test_numbers_of_any_type_are_taken_in_single_precision(storm: xr.DataArray, dtype: str) -> None:
    whole = storm.copy(data=np.round(storm.values))
    context = latest_context(whole.astype(dtype), 4)
    assert context.dtype == np.float32
    np.testing.assert_array_equal(context.values, whole.values[-4:])


def test_what_is_no_time_or_duration_is_refused_by_name(storm: xr.DataArray) -> None:
    for arguments in (
        *({"reference_time": value} for value in ("noon", "3000-01-01", 5, 1.28e9, [], "NaT")),
        *({"max_age": value} for value in ("soon", "-5min", "NaT", 5, [], "900000d")),
    ):
        with pytest.raises(ConfigurationError) as refused:
            latest_context(storm, 4, **arguments)
        assert repr(next(iter(arguments.values()))) in str(refused.value)
    for frames in (0, 1, 2.5, None):
        with pytest.raises(ConfigurationError, match="frames"):
            latest_context(storm, frames)  # type: ignore[arg-type]


def test_observations_that_are_none_are_refused(storm: xr.DataArray) -> None:
    for wrong, named in (
        (storm.values, "ndarray"),
        (storm.drop_vars("x"), "none of x"),
        (storm.assign_coords(x=storm["x"].values ** 2), "'x'"),
        (storm.astype(object), "object"),
        (storm.assign_coords(time=range(9)), "datetime64"),
    ):
        with pytest.raises(ObservationError, match=named):
            latest_context(wrong, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        *({"frames": value} for value in (0, -1, 2.5, None)),
        *({"shape": value} for value in (4, (0, 4), (4,), None)),
        *({"seed": value} for value in (-1, None, "1")),
        *({"step_minutes": value} for value in (0, "a", np.nan, 0.001)),
        *({"pixel_size": value} for value in (0, -1.0, None)),
    ],
)
def test_storms_that_cannot_be_are_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        simulate(**{"frames": 3, "shape": (32, 32)} | arguments)  # type: ignore[arg-type]
