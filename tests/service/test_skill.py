import numpy as np
import pytest
import xarray as xr
from radar_feed import START, STEP, storm

from ssldm.radar.observations import NAME
from ssldm.service.skill import CLASSES, SAMPLED, recent, score_frame, skill_of
from ssldm.service.store import Store
from ssldm.service.times import stamp_of

SHAPE = (8, 8)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def put(store, cycle, members, extrapolated, state="full"):
    """A forecast of one lead time, at the sampled pixels of a frame."""
    sample = xr.Dataset(
        {
            NAME: (("member", "lead_time", "y", "x"), np.float32(members)[:, None]),
            "extrapolation": (("lead_time", "y", "x"), np.float32(extrapolated)[None]),
        },
        coords={"lead_time": [STEP]},
    )
    summary = {"cycle": stamp_of(START + cycle * STEP), "state": state, "lead_minutes": [5.0]}
    store.put_cycle("test", summary, None, sample)


def frame(number, rate):
    blank = storm(number + 1, SHAPE).isel(time=number)
    return blank.copy(data=np.full(SHAPE, rate, np.float32))


def fields(*values):
    return np.float32(values)[:, None, None] * np.ones((SHAPE[0] // SAMPLED, SHAPE[1] // SAMPLED))


def test_scores_equal_those_by_hand(store):
    put(store, 0, fields(0.0, 2.0), fields(3.0)[0])
    record = score_frame(store, "test", frame(1, 1.0), [1.0])
    (lead,) = record["leads"]
    pixels = fields(0.0).size
    # CRPS of 0 and 2 for 1: mean error 1, less half the mean difference of all pairs, 1/2.
    assert lead["crps"] == pytest.approx(0.5 * pixels)
    assert lead["error"] == pytest.approx(2.0 * pixels)
    assert (lead["lead_minutes"], lead["pixels"]) == (5.0, pixels)
    scores = skill_of([record])
    assert scores["by_lead"] == [
        {"lead_minutes": 5.0, "crps": 0.5, "crps_extrapolation": 2.0, "pixels": pixels}
    ]
    (reliability,) = scores["reliability"]
    (bin_,) = reliability["bins"]
    assert (bin_["forecast"], bin_["observed"], bin_["count"]) == (0.5, 1.0, pixels)
    assert bin_["low"] is None


def test_frames_add_up(store):
    put(store, 0, fields(0.0, 2.0), fields(0.0)[0])
    put(store, 1, fields(0.0, 2.0), fields(0.0)[0])
    records = [score_frame(store, "test", frame(n, rate), [1.0]) for n, rate in ((1, 1.0), (2, 0.0))]
    scores = skill_of(records)
    (bin_,) = scores["reliability"][0]["bins"]
    assert bin_["observed"] == 0.5
    assert 0.0 <= bin_["low"] <= 0.5 <= bin_["high"] <= 1.0
    assert recent(records, START + STEP) == records[:1]


def test_what_was_not_observed_or_not_forecast_is_left_out(store):
    members = fields(0.0, 2.0)
    members[0, 0, 0] = np.nan
    put(store, 0, members, fields(0.0)[0])
    half = frame(1, 1.0)
    half.values[:, 0] = np.nan
    record = score_frame(store, "test", half, [1.0])
    assert record["leads"][0]["pixels"] == 2  # of four: one column is not observed, one pixel not forecast


def test_the_extrapolation_has_no_reliability(store):
    put(store, 0, fields(2.0), fields(2.0)[0], state="extrapolation")
    record = score_frame(store, "test", frame(1, 1.0), [1.0])
    assert skill_of([record])["reliability"][0]["bins"] == []


def test_nothing_known_is_no_score():
    assert skill_of([]) == {"frames": 0, "by_lead": [], "reliability": []}


def test_intervals_know_that_frames_in_a_row_are_alike():
    def record(frame, happened):
        classes = {name: [0.0] * (CLASSES + 1) for name in ("forecast", "issued", "observed", "count")}
        for name, value in (("forecast", 50.0), ("issued", 50.0), ("observed", 100.0 * happened)):
            classes[name][5] = value
        classes["count"][5] = 100.0
        return {
            "frame": stamp_of(START + frame * STEP),
            "leads": [],
            "reliability": [{"threshold": 1.0, **classes}],
        }

    def width(events):
        (part,) = skill_of([record(*each) for each in enumerate(events)])["reliability"]
        (bin_,) = part["bins"]
        return bin_["high"] - bin_["low"]

    rows = [number % 24 < 12 for number in range(36)]
    assert width(rows) > 2.0 * width([number % 2 == 0 for number in range(36)])
    assert width([True] * 36) == 0.0
