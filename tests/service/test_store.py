import numpy as np
import pytest
import xarray as xr
from radar_feed import START, STEP, QuickModel, storm

from ssldm.atomic import PARTIAL
from ssldm.errors import ConfigurationError
from ssldm.radar.motion import estimate_motion
from ssldm.radar.observations import NAME
from ssldm.service.store import RATE_STEP, Store
from ssldm.service.times import Clock, iso, stamp_of, time_of

STAMP = stamp_of(START)


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return Store(str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}")


@pytest.fixture(scope="module")
def observed():
    frames = storm(4)
    frames.values[:, :3] = np.nan
    return frames


@pytest.fixture(scope="module")
def forecast(observed):
    return QuickModel().nowcast(observed, members=4, motion=estimate_motion(observed.values), seed=0)


def test_what_is_put_is_there_to_rounding(store, observed, forecast):
    store.put_frame("a", STAMP, observed[0])
    store.put_cycle(
        "a", {"cycle": STAMP}, forecast.assign(rate_probability=forecast[NAME][0] * 0 + 0.25), None
    )
    found = store.observed("a", STAMP)
    np.testing.assert_allclose(found, observed[0], atol=RATE_STEP / 2 + 1e-6)
    again = store.forecast("a", STAMP)
    np.testing.assert_allclose(again[NAME], forecast[NAME], atol=RATE_STEP / 2 + 1e-6)
    assert set(np.unique(again["rate_probability"].values[np.isfinite(again[NAME][0])])) == {0.25}
    xr.testing.assert_equal(again["valid_time"].variable, forecast["valid_time"].variable)
    assert again["crs"].attrs["crs_wkt"] == forecast["crs"].attrs["crs_wkt"]
    assert store.sample("a", STAMP) is None


def test_what_is_read_does_not_stay_in_memory(store, forecast):
    store.put_cycle("a", {"cycle": STAMP}, forecast, None)
    rate = store.forecast("a", STAMP)[NAME]
    chosen = rate.isel(member=0)
    assert np.isfinite(chosen.values).any()
    assert not rate.variable._in_memory
    assert not chosen.variable._in_memory


def test_what_no_small_file_names_is_not_there(store, observed):
    store._write_zarr(f"a/data/{STAMP}/frame.zarr", observed[0].to_dataset(name=NAME))
    assert store.frames("a") == []
    assert store.cycles("a") == []
    assert store.cycle("a", STAMP) is None


def test_before_a_time_all_goes(store, observed):
    later = stamp_of(START + STEP)
    for stamp in (STAMP, later):
        store.put_frame("a", stamp, observed[0])
        store.put_cycle("a", {"cycle": stamp}, None, None)
        store.put_record("a", "skill", stamp, {"frame": stamp})
    store.put_record("a", "alarms", "town", {"rule": "town"})
    store.drop_before("a", START + STEP)
    assert store.frames("a") == [later]
    assert [cycle["cycle"] for cycle in store.cycles("a")] == [later]
    assert store.records("a", "skill") == [{"frame": later}]
    assert store.records("a", "alarms") == [{"rule": "town"}]
    with pytest.raises(FileNotFoundError):
        store.observed("a", STAMP)


def test_what_is_offered_and_the_status_are_read_back(store):
    store.put_about("a", {"title": "A"})
    store.put_status({"queue": 0})
    assert store.about("a") == {"title": "A"}
    assert store.status() == {"queue": 0}


def test_what_a_killed_process_left_is_swept_away(tmp_path, observed):
    store = Store(str(tmp_path))
    store.put_frame("a", STAMP, observed[0])
    for folder in ("frames", f"data/{STAMP}"):
        (tmp_path / "a" / folder / f"{PARTIAL}1-x").mkdir()
    store.sweep("a")
    assert list(tmp_path.rglob(f"{PARTIAL}*")) == []
    assert store.frames("a") == [STAMP]


def test_what_was_taken_away_is_not_remembered(store):
    for n in range(3):
        store.put_cycle("a", {"cycle": stamp_of(START + n * STEP)}, None, None)
    assert len(store.cycles("a")) == len(store._known) == 3
    store.drop_before("a", START + 2 * STEP)
    assert len(store.cycles("a")) == len(store._known) == 1


def test_a_store_that_is_gone_is_told(tmp_path, observed):
    store = Store(str(tmp_path / "store"))
    assert store.fault() == "the store is gone"
    store.put_frame("a", STAMP, observed[0])
    assert store.fault() is None


def test_a_store_on_nothing_known_is_refused():
    with pytest.raises(ConfigurationError, match="nowhere"):
        Store("nowhere://x")


def test_stamps_and_times_are_each_others_inverse():
    time = np.datetime64("2010-08-26T03:30:05", "ns")
    assert stamp_of(time) == "20100826T033005Z"
    assert time_of(stamp_of(time)) == time
    assert iso(time) == "2010-08-26T03:30:05Z"
    for wrong in ("", "latest", "20101326T033005Z", "../20100826T033005Z", "20100826T033005Z\n"):
        assert time_of(wrong) is None


def test_a_replayed_clock_runs_faster_from_its_start():
    began = np.datetime64("now", "ns") - np.timedelta64(10, "s")
    now = Clock(began, START, 60.0).now()
    assert np.timedelta64(600, "s") <= now - START < np.timedelta64(800, "s")
