import errno

import numpy as np
import pytest
from radar_feed import START, STEP, QuickModel, storm, write_frame

from ssldm.config_file import parsed
from ssldm.service.config import ServiceConfig
from ssldm.service.cycle import LEAST_MEMBERS, Pace
from ssldm.service.forecaster import Forecaster
from ssldm.service.store import Store
from ssldm.service.times import Clock, stamp_of

FRAMES = 10
STAMPS = [stamp_of(START + n * STEP) for n in range(FRAMES)]


@pytest.fixture(scope="module")
def observed():
    return storm(FRAMES)


@pytest.fixture
def radar(tmp_path):
    folder = tmp_path / "radar"
    folder.mkdir()
    return folder


@pytest.fixture
def made():
    forecasters = []
    yield forecasters
    for each in forecasters:
        each.close()


def service(tmp_path, **keys):
    domain = {"name": "test", "watch": [str(tmp_path / "radar")], "members": 6}
    return parsed(
        ServiceConfig, {"domains": [domain], "store": str(tmp_path / "store"), "periods": ["15min"]} | keys
    )


def forecaster(config, made, clock=None):
    made.append(Forecaster(config, Store(config.store), clock or Clock(), lambda _: QuickModel()))
    return made[-1]


def rounds(of):
    while of.round():
        pass


def answered(config):
    return [cycle["cycle"] for cycle in Store(config.store).cycles("test")]


def test_every_frame_with_enough_before_it_is_answered_once(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in range(FRAMES):
        write_frame(observed, number, radar)
    running = forecaster(config, made)
    rounds(running)
    store = Store(config.store)
    assert store.frames("test") == STAMPS
    assert answered(config) == STAMPS[2:]
    assert running.status.cycles == FRAMES - 2
    states = [cycle["state"] for cycle in store.cycles("test")]
    assert states == ["none", *["full"] * (FRAMES - 3)]  # the third frame has two before it
    assert not running.round()


def test_a_service_that_begins_again_answers_what_is_left(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in range(6):
        write_frame(observed, number, radar)
    rounds(forecaster(config, made))
    published = [cycle["published"] for cycle in Store(config.store).cycles("test")]
    for number in range(6, FRAMES):
        write_frame(observed, number, radar)
    again = forecaster(config, made)
    rounds(again)
    assert again.status.cycles == FRAMES - 6
    assert answered(config) == STAMPS[2:]
    assert [cycle["published"] for cycle in Store(config.store).cycles("test")][:4] == published


def test_a_broken_file_is_passed_over_until_it_is_whole(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in range(8):
        write_frame(observed, number, radar)
    path = write_frame(observed, 8, radar)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    running = forecaster(config, made)
    rounds(running)
    assert answered(config) == STAMPS[2:8]
    path.write_bytes(whole)
    rounds(running)
    assert answered(config) == STAMPS[2:9]


def test_a_late_frame_gets_its_cycle(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in [0, 1, 2, 3, 4, 6, 7]:
        write_frame(observed, number, radar)
    running = forecaster(config, made)
    rounds(running)
    assert STAMPS[5] not in answered(config)
    assert Store(config.store).cycle("test", STAMPS[7])["state"] == "full"  # one missing frame is bridged
    write_frame(observed, 5, radar)
    rounds(running)
    assert answered(config) == STAMPS[2:8]


def test_a_frame_that_comes_twice_counts_once(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in range(6):
        write_frame(observed, number, radar)
    copies = tmp_path / "radar" / "again"
    copies.mkdir()
    write_frame(observed, 4, copies)
    rounds(forecaster(config, made))
    assert answered(config) == STAMPS[2:6]


def test_without_time_the_extrapolation_is_the_answer_and_says_so(tmp_path, radar, observed, made):
    config = service(tmp_path, budget="1ms")
    for number in range(6):
        write_frame(observed, number, radar)
    rounds(forecaster(config, made))
    cycle = Store(config.store).cycle("test", STAMPS[5])
    assert (cycle["state"], cycle["members"], cycle["degraded"]) == ("extrapolation", 1, True)
    assert cycle["reasons"]
    forecast = Store(config.store).forecast("test", STAMPS[5])
    assert forecast.attrs["source"] == "extrapolation"


def test_the_clock_of_a_replay_hides_later_frames(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in range(FRAMES):
        write_frame(observed, number, radar)
    still = Clock(np.datetime64("now", "ns"), START + 5 * STEP, 1e-6)
    rounds(forecaster(config, made, still))
    assert answered(config) == STAMPS[2:6]


def test_a_full_disk_is_survived(tmp_path, radar, observed, made, monkeypatch):
    config = service(tmp_path)
    for number in range(6):
        write_frame(observed, number, radar)
    running = forecaster(config, made)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(running.store, "put_frame", full)
        assert not running.round()
        running.status.write()
        assert running.store.status()["store_error"] == "store: No space left on device"
    rounds(running)
    running.status.write()
    assert running.store.status()["store_error"] is None
    assert answered(config) == STAMPS[2:6]


def test_a_store_that_vanishes_is_made_again(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in range(6):
        write_frame(observed, number, radar)
    running = forecaster(config, made)
    rounds(running)
    (tmp_path / "store").rename(tmp_path / "gone")
    rounds(running)
    assert answered(config) == STAMPS[2:6]


def test_one_cycle_that_fails_does_not_stop_the_others(tmp_path, radar, observed, made, monkeypatch):
    config = service(tmp_path)
    for number in range(6):
        write_frame(observed, number, radar)
    running = forecaster(config, made)
    fine = QuickModel.nowcast

    def fails_once(self, context, **options):
        if stamp_of(context["time"].values[-1]) == STAMPS[4]:
            raise ValueError
        return fine(self, context, **options)

    monkeypatch.setattr(QuickModel, "nowcast", fails_once)
    rounds(running)
    states = {cycle["cycle"]: cycle["state"] for cycle in running.store.cycles("test")}
    assert states == {STAMPS[2]: "none", STAMPS[3]: "full", STAMPS[4]: "none", STAMPS[5]: "full"}
    assert running.store.cycle("test", STAMPS[4])["reasons"] == ["internal error (ValueError)"]


def test_what_is_older_than_is_kept_goes(tmp_path, radar, observed, made):
    config = service(tmp_path, keep="15min", catch_up="10min")
    for number in range(FRAMES):
        write_frame(observed, number, radar)
    rounds(forecaster(config, made))
    assert Store(config.store).frames("test") == STAMPS[-4:]
    assert answered(config) == STAMPS[-2:]


def test_a_frame_that_waited_for_too_long_is_told_to_have_none(tmp_path, radar, observed, made):
    config = service(tmp_path, catch_up="10min")
    for number in range(4):
        write_frame(observed, number, radar)
    running = forecaster(config, made)
    rounds(running)
    assert answered(config) == STAMPS[2:4]
    for number in range(4, FRAMES):  # all at once: the first of them are too old at once
        write_frame(observed, number, radar)
    rounds(running)
    assert answered(config) == STAMPS[2:]
    states = [cycle["state"] for cycle in running.store.cycles("test")]
    assert states == ["none", "full", *["none"] * 4, "full", "full"]
    assert "older than 10min" in running.store.cycle("test", STAMPS[5])["reasons"][0]


def test_amounts_begin_with_what_was_observed(tmp_path, radar, observed, made):
    config = service(tmp_path)
    for number in range(6):
        write_frame(observed, number, radar)
    rounds(forecaster(config, made))
    forecast = Store(config.store).forecast("test", STAMPS[5])
    members = forecast["precipitation_rate"].values[:, 0]
    seen = observed.values[4:6].sum(axis=0)
    expected = np.quantile((members + seen) / 12.0, 0.5, axis=0)
    found = forecast["amount_quantile_15min"].sel(quantile=0.5).values[0]
    known = np.isfinite(expected)
    assert known.any()
    np.testing.assert_allclose(found[known], expected[known], atol=0.03)


@pytest.mark.parametrize(("seconds", "members"), [(100.0, 20), (11.0, 8), (5.0, 2), (0.0, 0), (-1.0, 0)])
def test_members_fit_the_time(seconds, members):
    pace = Pace()
    pace.learn(1.0, 20.0, 20)  # one second, and one a member
    assert pace.members_in(seconds, 20) == members


def test_what_was_slow_once_is_tried_again():
    pace = Pace()
    pace.learn(10.0, 100.0, 20)
    cycles = 0
    while pace.members_in(5.0, 20) < LEAST_MEMBERS:
        pace.doubt()
        cycles += 1
    assert 1 < cycles < 100


def test_before_anything_is_known_all_members_are_tried():
    assert Pace().members_in(1.0, 20) == 20
    assert LEAST_MEMBERS % 2 == 0
