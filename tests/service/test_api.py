"""Routes: what they answer, what they refuse, and how long it may be kept."""

import json
import re
import time
from itertools import product

import numpy as np
import pytest
import rasterio
import service_stores as stores
import xarray as xr

from ssldm.rain_maps import LEVELS
from ssldm.service.answers import AreasSeries, Cycle, Domains, PointSeries, Times
from ssldm.service.store import Store
from ssldm.service.times import iso, stamp_of

LAST = stamp_of(stores.LAST)
DOMAIN = f"/api/domains/{stores.DOMAIN}"
CYCLE = f"{DOMAIN}/cycles/{LAST}"
LAT, LON = 53.3, 1.9
BOX = {"type": "Polygon", "coordinates": [[[1.8, 53.2], [2.0, 53.2], [2.0, 53.3], [1.8, 53.3], [1.8, 53.2]]]}


def test_domains_say_what_is_offered(client, forecast):
    found = client.get("/api/domains").json()
    Domains.model_validate(found, strict=True)
    full, empty = found["domains"]
    assert found["now"] == iso(stores.LAST + np.timedelta64(60, "s"))
    assert (full["newest_cycle"], full["newest_frame"]) == (LAST, LAST)
    assert full | stores.about_of(forecast) == full
    assert (empty["newest_cycle"], empty["bounds"], empty["products"]) == (None, None, [])
    assert [each["from"] for each in found["colours"]["rain"]] == list(LEVELS)
    assert found["colours"]["rain"][0]["colour"] == "#d3e6f3"
    assert found["colours"]["unobserved"] == "#d9d9d9"
    assert found["colours"]["probability"][0]["from"] == 0.05
    assert "base" not in found


def test_times_are_those_of_the_last_hours(client):
    found = client.get(f"{DOMAIN}/times", params={"hours": 0.5}).json()
    Times.model_validate(found, strict=True)
    assert [each["stamp"] for each in found["observed"]] == [
        stamp_of(stores.LAST - n * stores.STEP) for n in range(6, -1, -1)
    ]
    assert [cycle["state"] for cycle in found["cycles"]] == ["none", "full"]
    assert client.get(f"/api/domains/{stores.EMPTY}/times").json() == {"observed": [], "cycles": []}


def test_answers_have_the_models_that_they_say(client):
    Cycle.model_validate(client.get(CYCLE).json(), strict=True)
    PointSeries.model_validate(
        client.get(f"{CYCLE}/point", params={"lat": LAT, "lon": LON}).json(), strict=True
    )
    AreasSeries.model_validate(client.post(f"{CYCLE}/area", json=BOX).json(), strict=True)


def test_what_has_a_stamp_never_changes_and_the_newest_does(client):
    addresses = ["", "/maps/mean/5.tif", "/nowcast.nc"]
    for address in addresses:
        answer = client.get(CYCLE + address)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", address
        newest = client.get(f"{DOMAIN}/cycles/latest{address}")
        assert newest.headers["cache-control"] == "no-cache", address
        if address != "/nowcast.nc":
            assert newest.content == answer.content
    lists = (f"{DOMAIN}/times", f"{DOMAIN}/skill", f"{DOMAIN}/alarms")
    for address in (*lists, "/base/lines.geojson", "/public/weather-maps.json"):
        answer = client.get(address)
        assert answer.headers["cache-control"] == "no-cache"
        again = client.get(address, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_latest_is_the_newest_that_has_a_forecast(own_store, client_of):
    later = stores.LAST + stores.STEP
    own_store.put_cycle(stores.DOMAIN, stores.summary_of(later, "none"), None, None)
    client = client_of(own_store)
    assert client.get(f"{DOMAIN}/cycles/latest").json()["cycle"] == LAST
    assert client.get(f"{DOMAIN}/cycles/latest/point?lat=53.2&lon=1.9").json()["cycle"] == LAST
    assert client.get(f"{DOMAIN}/times").json()["cycles"][-1]["cycle"] == stamp_of(later)


def test_what_is_not_there_is_404_in_one_line(client):
    for address in (
        "/api/domains/other/times",
        "/api/domains/other/skill",
        f"{DOMAIN}/cycles/20100826T000000Z",
        f"{DOMAIN}/cycles/20109926T000000Z",
        f"{DOMAIN}/cycles/..%2f..%2fstatus",
        f"{DOMAIN}/cycles/x/point?lat=53&lon=2",
        f"/api/domains/{stores.EMPTY}/cycles/latest",
        f"{CYCLE}/maps/mean/6.tif",
        f"{CYCLE}/maps/x/5.tif",
        "/tiles/nl/observed/20100826T000000Z/0/0/0.png",
        f"/tiles/nl/observed/{LAST}/3/8/0.png",
        f"/tiles/nl/{LAST}/mean/5/3/0/8.png",
        f"/tiles/nl/{LAST}/sum/5/3/0/1.png",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/none.js",
        "/nothing",
        "/docs",
    ):
        answer = client.get(address)
        assert answer.status_code == 404, address
        assert list(answer.json()) == ["detail"]
        assert "/" not in answer.json()["detail"]
        assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize(
    "address",
    [
        f"{CYCLE}/point?lat=nan&lon=2", f"{CYCLE}/point?lat=91&lon=2", f"{CYCLE}/point?lat=inf&lon=2",
        f"{CYCLE}/point?lat=53", f"{CYCLE}/point?lat=53&lon=1e9", f"{CYCLE}/point?lat=53&lon=2&format=xml",
        f"{DOMAIN}/times?hours=0", f"{DOMAIN}/times?hours=nan", f"{DOMAIN}/times?hours=1e9",
        f"/tiles/nl/observed/{LAST}/15/0/0.png", f"/tiles/nl/observed/{LAST}/-1/0/0.png",
        f"/tiles/nl/observed/{LAST}/{'9' * 5000}/0/0.png", f"/tiles/nl/observed/{LAST}/a/0/0.png",
    ],
)  # fmt: skip
def test_numbers_out_of_bounds_are_422_in_one_line(client, address):
    answer = client.get(address)
    assert answer.status_code == 422
    assert list(answer.json()) == ["detail"]
    assert len(answer.json()["detail"].splitlines()) == 1


def test_bad_polygons_are_422_in_one_line(client):
    ring = BOX["coordinates"][0]
    bad = [
        None, 1, "x", [], {}, {"type": "Polygon"}, {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": []}, {"type": "Polygon", "coordinates": [[]]},
        *({"type": "Polygon", "coordinates": [ring]} for ring in (
            [[1, 2], [3, 4]], [["a", "b"]] * 4, [[2, 53]] * 4, [[2, 99]] * 4, [[True, False]] * 4,
        )),
        {"type": "Feature", "geometry": None}, {"type": "GeometryCollection", "geometries": [BOX]},
        {"type": "FeatureCollection", "features": []}, {"type": "FeatureCollection", "features": [1]},
        {"type": "FeatureCollection", "features": [BOX] * 11},
        {"type": "Polygon", "coordinates": [[[-20, 40], [30, 40], [30, 70], [-20, 70], [-20, 40]]]},
        {"type": "Polygon", "coordinates": [[*ring[:-1], *([ring[0]] * 6000)]]},
    ]  # fmt: skip
    for body in bad:
        answer = client.post(f"{CYCLE}/area", json=body)
        assert answer.status_code == 422, (body, answer.text)
        assert list(answer.json()) == ["detail"]
        assert len(answer.json()["detail"].splitlines()) == 1
    for body in (
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type": NaN}',
        b'{"type":"Polygon","coordinates":[[[1e999,2]]]}',
    ):
        assert client.post(f"{CYCLE}/area", content=body).status_code == 422, body[:20]


def made(rng: np.random.Generator, depth: int) -> object:
    """What could almost be GeoJSON."""
    atoms = [None, True, 0, -1, 1e308, -1e308, 2, 53.2, "x", "", [], {}, 10**400, [2, 53], [[2, 53]] * 5]
    keys = ["type", "coordinates", "features", "geometry", "properties", "id", "name", "crs"]
    kinds = ["Polygon", "MultiPolygon", "Feature", "FeatureCollection", "Point"]
    kind, count = rng.random(), int(rng.integers(6))
    if depth == 0 or kind < 0.2:
        return atoms[rng.integers(len(atoms))]
    if kind < 0.5:
        return [made(rng, depth - 1) for _ in range(count)]
    others = {str(rng.choice(keys)): made(rng, depth - 1) for _ in range(count)}
    return {"type": str(rng.choice(kinds)), **others}


def test_odd_geojson_is_no_error_of_the_server(client):
    rng = np.random.default_rng(0)
    for _ in range(300):
        body = json.dumps(made(rng, 5))
        kind = str(rng.choice(["x", "application/json", ""]))
        answer = client.post(f"{CYCLE}/area", content=body, headers={"Content-Type": kind})
        assert answer.status_code in (200, 404, 413, 422), body


def test_odd_shapes_are_no_error_of_the_server(client):
    """Sides that cross, areas that shrink to lines, or reach out of the domain."""
    rng = np.random.default_rng(0)
    for spread in [1e-12, 1e-3, 0.1, 3.0] * 25:
        ring = (rng.normal(size=(rng.integers(3, 9), 2)) * spread + [1.9, 53.25]).tolist()
        answer = client.post(f"{CYCLE}/area", json={"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
        assert answer.status_code in (200, 404, 422), (ring, answer.text)


@pytest.mark.parametrize(
    "name",
    ["host", "if-none-match", "accept-encoding", "range", "origin", "content-length", "x-forwarded-host"],
)
def test_odd_headers_are_no_error_of_the_server(client, name):
    values = (b"\xff\xfe", b"[::", b"a b", b"," * 1000, b"bytes=-1-", b"\x7f", b"-1", b"9" * 500)
    addresses = ("/public/weather-maps.json", f"{DOMAIN}/times", "/static/app.js", "/")
    for value, address in product(values, addresses):
        answer = client.get(address, headers=[(name.encode(), value)])
        assert answer.status_code < 500, (value, address)


@pytest.mark.parametrize(
    "text", ["%00", "%ff", "%0a", "..;", "%2e%2e%2f", "🌧", "'", "{}", "a" * 3000], ids=range(9)
)
def test_odd_addresses_are_no_error_of_the_server(client, text):
    for address in (
        f"/api/domains/{text}/times",
        f"{DOMAIN}/cycles/{text}",
        f"/static/{text}",
        f"{CYCLE}/maps/{text}/5.tif",
        f"/tiles/nl/{LAST}/{text}/5/0/0/0.png",
        f"/tiles/nl/{LAST}/mean/{text}/0/0/0.png",
        f"/public/weather-maps.json?domain={text}",
    ):
        assert client.get(address).status_code in (400, 404, 405, 422), address


def test_an_error_inside_says_nothing_of_it(client_of, store, monkeypatch, caplog):
    def broken(*_: object) -> None:
        raise RuntimeError("secret /etc/path")

    client = client_of(store)
    monkeypatch.setattr(Store, "cycles", broken)
    answer = client.get(f"{DOMAIN}/times")
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    assert "default-src" in answer.headers["content-security-policy"]
    assert "secret" in caplog.text


def test_netcdf_has_the_members_as_they_are_stored(client, store, tmp_path):
    answer = client.get(f"{CYCLE}/nowcast.nc")
    assert len(answer.content) == int(answer.headers["content-length"])
    (tmp_path / "x.nc").write_bytes(answer.content)
    with xr.open_dataset(tmp_path / "x.nc", decode_timedelta=True) as found:
        stored = store.forecast(stores.DOMAIN, LAST)
        np.testing.assert_allclose(found["precipitation_rate"], stored["precipitation_rate"], atol=1e-4)
        assert "mean_rate" not in found
        assert {"lat", "lon", "crs"} <= set(found.variables)
        assert found.attrs["Conventions"].startswith("CF")


def test_geotiff_has_the_map_in_its_place(client, store, tmp_path):
    answer = client.get(f"{CYCLE}/maps/amount-60min-probability-2/10.tif")
    (tmp_path / "x.tif").write_bytes(answer.content)
    stored = store.forecast(stores.DOMAIN, LAST)
    field = stored["amount_probability_60min"].sel(threshold=2.0)[1]
    with rasterio.open(tmp_path / "x.tif") as file:
        np.testing.assert_allclose(file.read(1), field, atol=1e-4)
        assert file.xy(0, 0) == pytest.approx((float(field["x"][0]), float(field["y"][0])))
        assert file.tags()["valid_time"] == iso(stores.LAST + 2 * stores.STEP)


def test_nothing_stays_on_the_disk(client_of, store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = client_of(store)
    for address in ("/nowcast.nc", "/maps/mean/5.tif", f"/point?lat={LAT}&lon={LON}&format=csv"):
        assert client.get(CYCLE + address).status_code == 200
    assert not list(tmp_path.iterdir())


def test_skill_and_alarms_are_told(client_of, own_store):
    lead = {"cycle": "x", "lead_minutes": 5.0, "crps": 10.0, "error": 20.0, "pixels": 100}
    part = {
        "threshold": 2.0,
        "forecast": [0.0] * 10 + [4.0],
        "observed": [0.0] * 10 + [3.0],
        "count": [0.0] * 10 + [4.0],
    }
    own_store.put_record(
        stores.DOMAIN, "skill", LAST, {"frame": LAST, "leads": [lead], "reliability": [part]}
    )
    client = client_of(own_store)
    found = client.get(f"{DOMAIN}/skill").json()
    assert found["hours"] == 3
    assert found["by_lead"] == [{"lead_minutes": 5.0, "crps": 0.1, "crps_extrapolation": 0.2, "pixels": 100}]
    assert found["reliability"][0]["bins"][0] | {"low": None, "high": None} == {
        "forecast": 1.0, "observed": 0.75, "low": None, "high": None, "count": 4,
    }  # fmt: skip
    measures = client.get("/metrics").text
    assert f'ssldm_skill_crps{{domain="{stores.DOMAIN}",lead_minutes="5"}} 0.1' in measures
    assert set(client.get(f"{DOMAIN}/alarms").json()) == {"rules", "events", "scores"}


@pytest.mark.parametrize(
    ("minutes", "status", "expected"),
    [
        (1.0, {"heartbeat": "now"}, None),
        (19.0, {"heartbeat": "now"}, None),
        (21.0, {"heartbeat": "now"}, "stale"),
        (1.0, {"heartbeat": "2020-01-01T00:00:00Z"}, "forecaster"),
        (1.0, {"heartbeat": "gibberish"}, "forecaster"),
        (1.0, {}, "forecaster"),
        (1.0, {"heartbeat": "now", "store_error": "store: No space left on /dev/x"}, "store"),
    ],
)
def test_health_tells_what_is_wrong(client_of, own_store, minutes, status, expected):
    if status.get("heartbeat") == "now":
        status = status | {"heartbeat": iso(np.datetime64("now"))}
    own_store.put_status(status)
    client = client_of(own_store, minutes, domains=[{"name": stores.DOMAIN, "watch": ["x"]}])
    answer = client.get("/health")
    assert answer.status_code == (200 if expected is None else 503)
    assert answer.json()["status"] == (expected or "ok")
    assert (answer.json()["reason"] is None) == (expected is None)
    assert "/dev" not in answer.text


def test_a_service_without_forecasts_is_not_healthy(client):
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "starting")


def test_requests_are_counted_by_route(client_of, store):
    client = client_of(store)
    for x in range(3):
        client.get(f"/tiles/nl/observed/{LAST}/9/{x}/0.png")
    client.get("/api/domains/other/times")
    client.get("/made/up/path")
    measures = client.get("/metrics").text
    route = 'route="/tiles/{domain}/observed/{stamp}/{z}/{x}/{y}.png"'
    assert f'ssldm_requests_total{{{route},status="200"}} 3.0' in measures
    assert 'ssldm_requests_total{route="/api/domains/{domain}/times",status="404"} 1.0' in measures
    assert 'ssldm_requests_total{route="other",status="404"} 1.0' in measures
    assert "made/up" not in measures
    for name in ("ssldm_cycle_latency_seconds", "ssldm_input_age_seconds"):
        assert re.search(rf'^{name}{{domain="nl"}} \d', measures, re.MULTILINE)
    assert 'ssldm_input_age_seconds{domain="nl"} 60.0' in measures
    # Each app counts for itself.
    assert 'status="404"' not in client_of(store).get("/metrics").text


def test_lines_and_towns_lie_around_the_domains(client, forecast):
    west, south, east, north = stores.about_of(forecast)["bounds"]
    lines = client.get("/base/lines.geojson").json()["features"]
    assert {each["properties"]["kind"] for each in lines} == {"coast", "border"}
    points = np.array([p for each in lines for line in each["geometry"]["coordinates"] for p in line])
    towns = client.get("/base/towns.geojson").json()["features"]
    places = np.array([each["geometry"]["coordinates"] for each in towns])
    for found in (points, places):
        assert (found >= [west - 5, south - 5]).all()
        assert (found <= [east + 5, north + 5]).all()
    assert [each["properties"]["rank"] for each in towns] == list(range(1, len(towns) + 1))
    assert "Amsterdam" in [each["properties"]["name"] for each in towns]


def test_the_page_and_its_files_are_served(client):
    assert client.get("/openapi.json").status_code == 200
    for address in ("/", "/static/index.html"):
        answer = client.get(address)
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-cache"


def test_series_follow_frames_that_come_late(own_store, client_of, frames):
    late = stamp_of(stores.LAST - 2 * stores.STEP)
    own_store._remove(f"{stores.DOMAIN}/frames/{late}.json")
    client = client_of(own_store)
    address = f"{CYCLE}/point?lat={LAT}&lon={LON}"
    answer = client.get(address)
    assert answer.headers["cache-control"] == "public, max-age=60"
    times = answer.json()["observed"]["time"]
    own_store.put_frame(stores.DOMAIN, late, frames.isel(time=-3))
    time.sleep(1.1)  # for as long lists hold
    assert len(client.get(address).json()["observed"]["time"]) == len(times) + 1


def test_nothing_is_for_ever_where_the_past_is_replayed(store, client_of):
    replayed = client_of(store, replay={"start": "2010-08-26T03:00"})
    assert replayed.get(CYCLE).headers["cache-control"] == "no-cache"


def test_numbers_are_ascii_and_names_can_be_written(client):
    assert client.get(CYCLE + "/maps/mean/%D9%A5.tif").status_code == 404
    box = [[LON - 0.1, LAT - 0.1], [LON + 0.1, LAT - 0.1], [LON + 0.1, LAT + 0.1], [LON - 0.1, LAT - 0.1]]
    geometry = {"type": "Polygon", "coordinates": [box]}
    feature = {"type": "Feature", "properties": {"name": "\ud800"}, "geometry": geometry}
    for form in ("json", "csv"):
        answer = client.post(CYCLE + f"/area?format={form}", content=json.dumps(feature))
        assert answer.status_code == 200
