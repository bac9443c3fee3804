"""What one client may ask for, and what every answer carries."""

import asyncio
import time
from threading import Event

import numpy as np
import pytest
import service_stores as stores
from starlette.testclient import TestClient

from ssldm.service.limits import Deadline, RateLimit
from ssldm.service.store import Store
from ssldm.service.times import stamp_of

LAST = stamp_of(stores.LAST)
SMALL = {
    "type": "Polygon",
    "coordinates": [[[1.8, 53.2], [2.0, 53.2], [2.0, 53.3], [1.8, 53.3], [1.8, 53.2]]],
}
AREA = f"/api/domains/{stores.DOMAIN}/cycles/{LAST}/area"


async def answers(scope, receive, send):
    """An app that says yes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes"})


def test_a_client_may_ask_so_often_and_then_after_a_while():
    now = [0.0]
    client = TestClient(RateLimit(answers, 30, lambda: now[0]))
    assert [client.get("/").status_code for _ in range(31)] == [200] * 30 + [429]
    refused = client.get("/")
    assert refused.headers["retry-after"] == "2"
    assert list(refused.json()) == ["detail"]
    other = TestClient(RateLimit(answers, 30, lambda: now[0]), client=("10.0.0.2", 1))
    assert other.get("/").status_code == 200
    now[0] += 2.0
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]
    now[0] += 1e6
    assert [client.get("/").status_code for _ in range(31)] == [200] * 30 + [429]


def test_the_limit_of_the_configuration_holds(client_of, store):
    client = client_of(store, limits={"requests_a_minute": 5})
    assert [client.get("/api/domains").status_code for _ in range(7)] == [200] * 5 + [429] * 2
    unlimited = client_of(store, limits={"requests_a_minute": 0})
    assert {unlimited.get("/health").status_code for _ in range(20)} == {503}


def test_bodies_are_limited_whether_their_length_is_said_or_not(client_of, store):
    client = client_of(store, limits={"body_bytes": 2000})
    for body in (b" " * 2001, b"x" * 10**6):
        assert client.post(AREA, content=body).status_code == 413
    pieces = (b" " * 500 for _ in range(5))
    answer = client.post(AREA, content=pieces)
    assert answer.status_code == 413
    assert list(answer.json()) == ["detail"]
    assert client.post(AREA, content=b" " * 2000).status_code == 422
    assert client.post(AREA, content=(b" " * 500 for _ in range(4))).status_code == 422


def test_areas_are_limited(client_of, store):
    ring = [[1.8, 53.2], [2.0, 53.2], [2.0, 53.3], [1.8, 53.3], [1.8, 53.2]]
    polygon = {"type": "Polygon", "coordinates": [ring]}  # about 148 km²
    assert client_of(store, limits={"area_km2": 160.0}).post(AREA, json=polygon).status_code == 200
    small = client_of(store, limits={"area_km2": 130.0})
    assert small.post(AREA, json=polygon).status_code == 422
    # Both halves of a bow count, whichever way round they go.
    bow = {"type": "Polygon", "coordinates": [[ring[0], ring[2], ring[1], ring[3], ring[0]]]}
    assert client_of(store, limits={"area_km2": 60.0}).post(AREA, json=bow).status_code == 422
    assert client_of(store, limits={"vertices": 4}).post(AREA, json=polygon).status_code == 422


def test_shapes_that_take_long_are_refused_at_once(client):
    rng = np.random.default_rng(0)
    scribble = (rng.normal(size=(300, 2)) * 0.3 + [1.9, 53.25]).tolist()
    angle = np.linspace(0, 2 * np.pi, 4900, endpoint=False)
    radius = np.where(np.arange(4900) % 2, 0.4, 0.05)
    star = np.stack([1.9 + 1.6 * radius * np.cos(angle), 53.3 + radius * np.sin(angle)], -1).tolist()
    strips = [[0.9, 52.9], [2.7, 53.7], [2.7, 53.701], [0.9, 52.901]]
    many = {"type": "MultiPolygon", "coordinates": [[[*strips, strips[0]]]]}
    began = time.monotonic()
    for ring in (scribble, star):
        body = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        assert client.post(AREA, json=body).status_code == 422
    features = [{"type": "Feature", "properties": {}, "geometry": many}] * 10
    assert client.post(AREA, json={"type": "FeatureCollection", "features": features}).status_code == 422
    assert time.monotonic() - began < 20.0


def test_what_is_far_too_large_is_refused_before_anything_is_computed(client, monkeypatch):
    def computed(*_):
        raise AssertionError

    monkeypatch.setattr("ssldm.service.routes.series.of_areas", computed)
    world = {
        "type": "Polygon",
        "coordinates": [[[-180, -89], [180, -89], [180, 89], [-180, 89], [-180, -89]]],
    }
    assert client.post(AREA, json=world).status_code == 422
    assert client.post(AREA, json=SMALL).status_code == 500


def test_an_answer_that_takes_too_long_is_given_up(client_of, store, monkeypatch):
    go = Event()
    frames = Store.frames

    def slow(self, domain):
        go.wait(60)
        return frames(self, domain)

    client = client_of(store, limits={"seconds": 0.2})
    monkeypatch.setattr(Store, "frames", slow)
    began = time.monotonic()
    answer = client.get("/api/domains/nl/times")
    go.set()
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert list(answer.json()) == ["detail"]
    assert time.monotonic() - began < 30.0


def test_what_begins_in_time_may_go_on():
    async def app(scope, receive, send):
        import asyncio

        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"yes"})

    assert TestClient(Deadline(app, 0.1)).get("/").text == "yes"


ADDRESSES = (
    "/",
    "/api/domains",
    "/nothing",
    f"/tiles/nl/observed/{LAST}/9/0/0.png",
    "/static/none",
    "/health",
)


def test_every_answer_has_headers_of_security(client_of, store):
    client = client_of(store)
    for address in ADDRESSES:
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; ")
        assert "connect-src 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "referrer-policy" in headers
        assert "access-control-allow-origin" not in headers
    based = client_of(store, base={"tiles": "https://tiles.example.org/{z}/{x}/{y}.png", "attribution": "©"})
    policy = based.get("/").headers["content-security-policy"]
    assert policy.count("https://tiles.example.org;") + policy.endswith("https://tiles.example.org") == 2
    assert based.get("/api/domains").json()["base"]["attribution"] == "©"


def test_other_sites_may_read_where_they_are_named(client_of, store):
    client = client_of(store, origins=["https://a.example"])
    for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
        answer = client.get("/api/domains", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed


def test_head_has_the_headers_of_get(client):
    for address in (*ADDRESSES, f"/api/domains/nl/cycles/{LAST}/nowcast.nc", "/base/lines.geojson"):
        got, head = client.get(address), client.head(address)
        assert (head.status_code, head.content) == (got.status_code, b""), address
        assert head.headers.get("content-length") == got.headers.get("content-length"), address
    assert client.head("/api/events").status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "TRACE"])
def test_nothing_else_writes(client, method):
    for address in ("/api/domains", f"/tiles/nl/observed/{LAST}/9/0/0.png", "/", "/health", "/static/app.js"):
        answer = client.request(method, address)
        assert answer.status_code == 405, address
    assert client.get(AREA).status_code == 405


def test_text_is_compressed_and_pictures_are_not(client):
    plain = client.get("/base/lines.geojson", headers={"Accept-Encoding": "identity"})
    small = client.get("/base/lines.geojson", headers={"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert small.content == plain.content
    tile = client.get(f"/tiles/nl/observed/{LAST}/0/0/0.png", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in tile.headers


def test_this_machine_is_not_limited():
    async def answer(_, __, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    def statuses(client):
        found = []

        async def send(message):
            found.extend([message["status"]] if "status" in message else [])

        async def ask():
            limited = RateLimit(answer, most=2)
            for _ in range(4):
                await limited({"type": "http", "client": (client, 1)}, None, send)

        asyncio.run(ask())
        return found

    assert statuses("192.0.2.1") == [200, 200, 429, 429]
    assert statuses("127.0.0.1") == statuses("::1") == [200] * 4
