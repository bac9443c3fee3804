"""What can be a time, and what is a regular step."""

from datetime import UTC, datetime

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.archive_store import missing_times
from ssldm.radar.open import open_radar
from ssldm.radar.times import coinciding, regular_step, usual_step, utc_times
from ssldm.radar.windows import gap_free_starts

START = np.datetime64("2020-01-01T00:00", "ns")


def at(*seconds: float) -> np.ndarray:
    return START + np.round(1e9 * np.array(seconds)).astype("timedelta64[ns]")


def minutes(step: np.timedelta64) -> float:
    return float(step / np.timedelta64(1, "m"))


def rain(times: object, **attributes: str) -> xr.DataArray:
    count = len(times)  # type: ignore[arg-type]
    values = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, 3, 4), np.float32)
    return xr.DataArray(
        values,
        dims=("time", "y", "x"),
        coords={
            "time": times,
            "y": ("y", [2000.0, 1000.0, 0.0], {"units": "m"}),
            "x": ("x", [0.0, 1000.0, 2000.0, 3000.0], {"units": "m"}),
        },
        attrs={"units": "mm h-1"} | attributes,
    )


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        (at(0, 300, 600, 900), 5.0),
        (at(0, 290, 610, 890), 5.0),
        (at(0, 307, 614, 921), 5.0),
        (at(0, 320, 640, 960), 320 / 60),
        (at(0, 750, 1500), 12.5),
        (at(0, 20, 40), 1 / 3),
        (at(0, 299.9999, 600.0001), 5.0),
    ],
)
def test_the_nominal_step_is_taken_where_times_jitter_by_less_than_a_twentieth_of_it(
    times: np.ndarray, wanted: float
) -> None:
    assert minutes(regular_step(times)) == pytest.approx(wanted)


@pytest.mark.parametrize("seconds", [(0, 300, 900), (0, 300, 600, 960), (0, 240, 600), (0, 300, 600, 1230)])
def test_other_steps_are_refused_by_numbers_that_differ(seconds: tuple[int, ...]) -> None:
    with pytest.raises(ObservationError, match="found steps of") as refused:
        regular_step(at(*seconds))
    named = str(refused.value).partition("steps of ")[2].removesuffix(" minutes").split(", ")
    assert len(named) == len(set(named)) > 1


def test_zones_become_utc_and_dates_of_any_library_are_times() -> None:
    wanted = at(0, 300)
    amsterdam = pd.DatetimeIndex(wanted).tz_localize("UTC").tz_convert("Europe/Amsterdam")
    python = np.array([datetime(2020, 1, 1, 0, m, tzinfo=UTC) for m in (0, 5)], object)
    civil = np.array([cftime.DatetimeGregorian(2020, 1, 1, 0, m) for m in (0, 5)], object)
    for values in (wanted, amsterdam, python, civil, wanted.astype("M8[s]")):
        np.testing.assert_array_equal(utc_times(values), wanted)
        np.testing.assert_array_equal(open_radar(rain(values))["time"].values, wanted)


def test_what_cannot_be_a_time_is_refused_by_name() -> None:
    for values, named in (
        (["noon", "midnight"], "noon"),
        (np.array([1, 2]), "int64"),
        (np.array([1.5, 2.5]), "float64"),
        (np.array([START, np.datetime64("NaT")]), "frame 1"),
        (np.array([cftime.DatetimeNoLeap(2020, 1, 1), cftime.DatetimeNoLeap(2020, 1, 2)], object), "noleap"),
    ):
        with pytest.raises(ObservationError, match="time") as refused:
            open_radar(rain(values))
        assert named in str(refused.value)


@pytest.mark.parametrize("unit", ["days", "hours", "minutes", "seconds"])
def test_float_time_axes_are_read_to_the_second(unit: str, tmp_path: object) -> None:
    data = rain(at(0, 300, 600, 900)).to_dataset(name="rain_rate")
    path = f"{tmp_path}/float.nc"
    data.to_netcdf(path, encoding={"time": {"units": f"{unit} since 1970-01-01", "dtype": "float64"}})
    np.testing.assert_array_equal(open_radar(path)["time"].values, at(0, 300, 600, 900))


def test_frames_in_any_order_come_out_in_order_of_time() -> None:
    order = [2, 0, 3, 1]
    data = open_radar(rain(at(0, 300, 600, 900)).isel(time=order))
    np.testing.assert_array_equal(data["time"].values, at(0, 300, 600, 900))
    np.testing.assert_array_equal(data.values[:, 0, 0], [0.0, 1.0, 2.0, 3.0])


def test_jitter_makes_no_gaps_and_hides_none() -> None:
    jitter = at(*(300 * np.arange(8) + np.array([0, 9, -8, 5, 0, -9, 7, 3])))
    assert minutes(usual_step(jitter)) == 5.0
    assert len(missing_times(jitter)) == 0
    assert gap_free_starts(jitter, 4, 5.0) == [0, 1, 2, 3, 4]
    gapped = np.delete(jitter, 4)
    assert len(missing_times(gapped)) == 1
    assert gap_free_starts(gapped, 4, 5.0) == [0]


def test_times_within_half_a_minute_are_the_same_time() -> None:
    np.testing.assert_array_equal(coinciding(at(0, 300, 600), at(10, 345, 601)), at(0, 600))
    np.testing.assert_array_equal(coinciding(at(0, 300), at(29, 330)), at(0))
    assert len(coinciding(at(0), at()[:0])) == len(coinciding(at()[:0], at(0))) == 0
