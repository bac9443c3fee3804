"""Server-sent events: what is new is told to all who listen, and no more may listen than may."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import service_stores as stores
import uvicorn

from ssldm.service.app import create_app
from ssldm.service.times import stamp_of


@contextmanager
def served(app) -> Iterator[str]:
    """The address of an app that is served in a thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def app(own_store):
    return create_app(stores.config_of(limits={"streams": 3}), own_store, stores.clock_after())


def next_events(lines: Iterator[str], count: int) -> list[tuple[str, dict]]:
    found, kind = [], ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((kind, json.loads(line.removeprefix("data: "))))
        if len(found) == count:
            break
    return found


def test_frames_and_cycles_are_told_to_all_as_they_come(app, own_store, frames, forecast):
    later = stores.LAST + stores.STEP
    with served(app) as address, httpx.Client(timeout=10) as client:
        streams = [client.stream("GET", f"{address}/api/events") for _ in range(2)]
        answers = [stream.__enter__() for stream in streams]
        lines = [answer.iter_lines() for answer in answers]
        for answer, each in zip(answers, lines, strict=True):
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert next(each) == ": listening"
        time.sleep(1.2)  # what is there is known
        own_store.put_frame(stores.DOMAIN, stamp_of(later), frames[-1])
        own_store.put_cycle(stores.DOMAIN, stores.summary_of(later, "extrapolation"), forecast, None)
        expected = [
            ("cycle", {"domain": stores.DOMAIN, "cycle": stamp_of(later), "state": "extrapolation"}),
            ("frame", {"domain": stores.DOMAIN, "frame": stamp_of(later)}),
        ]
        for each in lines:
            found = next_events(each, 2)
            assert sorted(found, key=str) == sorted(expected, key=str)
        for stream in streams:
            stream.__exit__(None, None, None)


def test_so_many_may_listen_and_others_when_they_have_gone(app):
    broadcast = app.state.service.broadcast
    with served(app) as address:
        clients = [httpx.Client(timeout=10) for _ in range(3)]
        answers = [
            client.send(client.build_request("GET", f"{address}/api/events"), stream=True)
            for client in clients
        ]
        lines = [answer.iter_lines() for answer in answers]
        assert [next(each) for each in lines] == [": listening"] * 3
        refused = httpx.get(f"{address}/api/events")
        assert refused.status_code == 503
        assert list(refused.json()) == ["detail"]
        assert refused.headers["retry-after"]
        for client, answer in zip(clients, answers, strict=True):
            answer.close()
            client.close()
        until = time.monotonic() + 10
        while broadcast._listeners and time.monotonic() < until:
            time.sleep(0.05)
        assert not broadcast._listeners
        assert broadcast._task is None
        with httpx.stream("GET", f"{address}/api/events") as again:
            assert again.status_code == 200


def test_the_server_ends_although_somebody_listens(app):
    with served(app) as address:
        client = httpx.Client(timeout=10)
        answer = client.send(client.build_request("GET", f"{address}/api/events"), stream=True)
        assert next(answer.iter_lines()) == ": listening"
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
    client.close()
