import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from radar_feed import STEP, storm

from ssldm.forecast.dataset import nowcast_dataset
from ssldm.service.alarms import KIND, Alarms, alarms_of
from ssldm.service.config import AlarmRule
from ssldm.service.store import Store

PLACE = {"lat": 52.2, "lon": 5.3}
POLYGON = {
    "type": "Polygon",
    "coordinates": [[[5.2, 52.1], [5.4, 52.1], [5.4, 52.3], [5.2, 52.3], [5.2, 52.1]]],
}
LEADS = 3


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def rule(**keys):
    return AlarmRule(**{"name": "town", **PLACE, "threshold": 2.0, "probability": 0.5} | keys)


def frames(*rates):
    """Frames with the same rain everywhere."""
    blank = storm(len(rates))
    return blank.copy(data=np.broadcast_to(np.float32(rates)[:, None, None], blank.shape))


def forecast(after, *members):
    """A forecast from the last of some frames, with the same rain everywhere and at all lead times."""
    shape = after.shape[1:]
    rate = np.broadcast_to(np.float32(members)[:, None, None, None], (len(members), LEADS, *shape))
    return nowcast_dataset(rate, after, STEP, source="test", seed=0, settings="test")


def known(store):
    return store.record("test", KIND, "town")


def test_an_alarm_is_raised_once_while_it_holds(store):
    told = []
    alarms = Alarms(store, "test", (rule(webhook="http://example.org/x"),), lambda *post: told.append(post))
    dry = frames(0.0, 0.0, 0.0, 0.0)
    alarms.on_forecast(forecast(dry, 3.0, 0.0), dry)
    later = frames(0.0, 0.0, 0.0, 0.0, 0.0)
    alarms.on_forecast(forecast(later, 3.0, 3.0), later)
    assert len(known(store)["events"]) == len(told) == 1
    address, body = told[0]
    assert address == "http://example.org/x"
    assert (body["rule"], body["probability"], body["threshold"], body["domain"]) == (
        "town",
        0.5,
        2.0,
        "test",
    )
    assert body["expected"] == "2021-05-11T00:20:00Z"
    assert body["until"] == "2021-05-11T00:30:00Z"


def test_too_improbable_rain_raises_none(store):
    dry = frames(0.0, 0.0, 0.0, 0.0)
    Alarms(store, "test", (rule(),)).on_forecast(forecast(dry, 3.0, 0.0, 0.0), dry)
    assert known(store)["events"] == []


@pytest.mark.parametrize(
    ("after", "outcome", "counts"),
    [
        ((0.0, 2.0, 0.0), "hit", (1, 0, 0)),
        ((0.0, 0.0, 0.0), "false alarm", (0, 0, 1)),
        ((0.0, np.nan, 0.0), "unknown", (0, 0, 0)),
        ((0.0, np.nan, 2.0), "hit", (1, 0, 0)),
        ((0.0, 0.0), "open", (0, 0, 0)),
    ],
)
def test_what_came_of_an_alarm(store, after, outcome, counts):
    alarms = Alarms(store, "test", (rule(),))
    before = frames(0.0, 0.0, 0.0, 0.0)
    alarms.on_forecast(forecast(before, 3.0, 3.0), before)
    for number in range(1, len(after) + 1):
        alarms.on_frame(frames(0.0, 0.0, 0.0, 0.0, *after[:number]))
    record = known(store)
    assert record["events"][0]["outcome"] == outcome
    assert (record["hits"], record["misses"], record["false_alarms"]) == counts


def test_a_rule_without_a_place_stops_no_other(store, tmp_path, caplog):
    away = AlarmRule(name="away", lat=0.0, lon=0.0, threshold=2.0, probability=0.5)
    lost = AlarmRule(name="lost", area=tmp_path / "none.geojson", threshold=2.0, probability=0.5)
    alarms = Alarms(store, "test", (away, lost, rule()))
    dry = frames(0.0, 0.0, 0.0, 0.0)
    for _ in range(2):
        alarms.on_forecast(forecast(dry, 3.0), dry)
        alarms.on_frame(frames(0.0, 0.0, 0.0, 0.0, 3.0))
    assert known(store)["events"][0]["outcome"] == "hit"
    assert [record.rule for record in caplog.records if record.levelname == "ERROR"] == ["away", "lost"]


def test_an_alarm_is_kept_before_it_is_posted(store):
    def posted(*_):
        assert len(known(store)["events"]) == 1

    dry = frames(0.0, 0.0, 0.0, 0.0)
    alarms = Alarms(store, "test", (rule(webhook="http://example.org/x"),), posted)
    alarms.on_forecast(forecast(dry, 3.0), dry)


def test_rain_without_an_alarm_is_one_miss_as_long_as_it_lasts(store):
    alarms = Alarms(store, "test", (rule(),))
    rates = [0.0, 3.0, 3.0, 0.0, 2.0]
    for number in range(1, len(rates) + 1):
        alarms.on_frame(frames(*rates[:number]))
    assert known(store)["misses"] == 2


def test_a_frame_counts_once(store):
    alarms = Alarms(store, "test", (rule(),))
    for _ in range(3):
        alarms.on_frame(frames(0.0, 3.0))
    assert known(store)["misses"] == 1


def test_amounts_join_what_was_observed(store):
    # 10 minutes of 6 mm/h are 1 mm: one frame was observed, one is forecast.
    wet = frames(0.0, 0.0, 0.0, 6.0)
    alarms = Alarms(store, "test", (rule(threshold=0.95, period="10min", probability=1.0),))
    alarms.on_forecast(forecast(wet, 6.0, 6.0), wet)
    assert known(store)["events"][0]["expected"] == "2021-05-11T00:20:00Z"
    alarms.on_frame(frames(0.0, 0.0, 0.0, 6.0, 6.0))
    assert known(store)["events"][0]["outcome"] == "hit"


def test_amounts_do_without_a_few_frames_and_exact_stamps(store):
    rates = [6.0] * 12
    whole = frames(*rates)
    times = whole["time"].values.copy()
    times[4] += np.timedelta64(2, "s")
    most = whole.assign_coords(time=times).isel(time=[n for n in range(12) if n != 6])
    few = whole.isel(time=[0, 1, 2, 3, 11])
    hourly = rule(threshold=5.9, period="60min", probability=1.0)
    alarms = Alarms(store, "test", (hourly,))
    alarms.on_frame(few)  # too little of the hour is known
    assert known(store)["misses"] == 0
    store.put_record("test", KIND, "town", known(store) | {"last_frame": None})
    alarms.on_frame(most)
    assert known(store)["misses"] == 1


def test_an_area_counts_by_its_mean(store, tmp_path):
    path = tmp_path / "basin.geojson"
    path.write_text(json.dumps(POLYGON))
    area = AlarmRule(name="town", area=path, threshold=2.0, probability=0.5)
    dry = frames(0.0, 0.0, 0.0, 0.0)
    alarms = Alarms(store, "test", (area,))
    alarms.on_forecast(forecast(dry, 3.0, 0.0), dry)
    alarms.on_frame(frames(0.0, 0.0, 0.0, 0.0, 2.5))
    assert known(store)["events"][0]["outcome"] == "hit"


def test_what_the_page_shows_has_no_address(store):
    alarms = Alarms(store, "test", (rule(webhook="http://example.org/secret"),), lambda *_: None)
    dry = frames(0.0, 0.0, 0.0, 0.0)
    alarms.on_forecast(forecast(dry, 3.0), dry)
    shown = alarms_of((rule(webhook="http://example.org/secret"),), store.records("test", KIND))
    assert "secret" not in json.dumps(shown)
    assert shown["rules"][0]["name"] == shown["events"][0]["rule"] == shown["scores"][0]["rule"] == "town"


def test_a_webhook_gets_its_post(store):
    got = threading.Event()
    bodies = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            got.set()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/alarm"
        dry = frames(0.0, 0.0, 0.0, 0.0)
        Alarms(store, "test", (rule(webhook=address),)).on_forecast(forecast(dry, 3.0), dry)
        assert got.wait(5.0)
    finally:
        server.shutdown()
        server.server_close()
    assert bodies[0]["rule"] == "town"
