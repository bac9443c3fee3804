"""Services in processes of their own that are killed, starved and fed with broken files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import numpy as np
import pytest
from radar_feed import START, STEP, storm, write_frame

from ssldm.service.store import Store
from ssldm.service.times import stamp_of

PORT = 8971
KILLS = 20


@pytest.fixture
def service(tmp_path):
    """Starts a service of a folder; whatever runs at the end is ended."""
    running = []

    def start(**keys):
        config = {
            "domains": [{"name": "test", "watch": [str(tmp_path / "radar")], "members": 4}],
            "store": str(tmp_path / "store"),
            "poll": "1s",
            "keep": "24h",
            "catch_up": "24h",
            "stale": "30000d",
        }
        path = tmp_path / "service.yaml"
        path.write_text(json.dumps(config | keys))
        log = (tmp_path / "log").open("a")
        command = [sys.executable, "-m", "ssldm", "serve", "--config", str(path), "--port", str(PORT)]
        running.append(subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True))
        return running[-1]

    (tmp_path / "radar").mkdir()
    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def answered(tmp_path):
    return [cycle["cycle"] for cycle in Store(str(tmp_path / "store")).cycles("test")]


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def healthy():
    try:
        with urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5.0) as answer:
            return answer.status == 200
    except (HTTPError, URLError, OSError):
        return False


@pytest.mark.slow
def test_a_service_killed_at_any_time_loses_and_doubles_no_cycle(tmp_path, service):
    frames = 40
    observed = storm(frames)
    chosen = np.random.default_rng(7)
    written = 0
    for _ in range(KILLS):
        for _ in range(2):
            if written < frames:
                write_frame(observed, written, tmp_path / "radar")
                written += 1
        process = service()
        time.sleep(chosen.uniform(4.0, 12.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        store = Store(str(tmp_path / "store"))
        for stamp in store.frames("test"):
            assert np.isfinite(store.observed("test", stamp)).all()
        for cycle in store.cycles("test"):
            if cycle["state"] != "none":
                rate = store.forecast("test", cycle["cycle"])["precipitation_rate"]
                assert np.isfinite(rate.values).any()
    service()
    expected = [stamp_of(START + n * STEP) for n in range(2, frames)]
    until(lambda: answered(tmp_path) == expected, 180.0)
    until(healthy, 30.0)


@pytest.mark.slow
def test_files_that_are_broken_late_or_doubled_cost_no_cycle_of_a_frame_that_can_be_read(tmp_path, service):
    frames = 60
    observed = storm(frames)
    chosen = np.random.default_rng(3)
    broken = {n for n in range(4, frames) if chosen.random() < 0.05}
    late = {n for n in range(4, frames - 3) if chosen.random() < 0.05} - broken
    radar, aside = tmp_path / "radar", tmp_path / "aside"
    aside.mkdir()
    service(budget="60s")
    for number in range(frames):
        path = write_frame(observed, number, aside)
        if number in broken:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        if number in late:
            continue
        shutil.move(path, radar / path.name)
        if number - 3 in late:
            write_frame(observed, number - 3, radar)
        if chosen.random() < 0.05:  # the same frame under another name
            shutil.copy(radar / path.name, radar / f"again_{path.name}")
        time.sleep(0.5)
    assert broken
    assert late
    expected = [stamp_of(START + n * STEP) for n in range(2, frames) if n not in broken]
    until(lambda: answered(tmp_path) == expected, 240.0)
    for cycle in Store(str(tmp_path / "store")).cycles("test"):
        assert cycle["latency_seconds"] <= 60.0 or cycle["degraded"]


@pytest.mark.slow
def test_two_services_do_not_share_a_store(tmp_path, service):
    write_frame(storm(1), 0, tmp_path / "radar")
    service()
    until((tmp_path / "store" / ".lock").exists, 30.0)
    time.sleep(1.0)
    second = service()
    assert second.wait(60.0) == 2
    assert "another service writes to this store" in (tmp_path / "log").read_text()
