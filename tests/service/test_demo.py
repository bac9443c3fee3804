import json
import signal
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

SECONDS = 150.0  # on an idle machine 15


@pytest.fixture
def demo(tmp_path):
    """A demonstration at a free port: its process and address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ssldm", "serve", "--demo", "--members", "4", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=None, cwd=tmp_path)
        yield process, f"http://127.0.0.1:{port}"
        if process.poll() is None:
            process.kill()
        process.wait()


def get(address):
    with urlopen(address, timeout=30.0) as answer:  # noqa: S310  # loopback
        return answer.read()


def newest(address):
    try:
        (domain,) = json.loads(get(f"{address}/api/domains"))["domains"]
    except (URLError, OSError):
        return None
    return domain["newest_cycle"]


def test_the_demonstration_forecasts_and_ends_when_told_to(demo, tmp_path):
    process, address = demo
    end = time.monotonic() + SECONDS
    while (cycle := newest(address)) is None:
        assert time.monotonic() < end
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.5)
    assert json.loads(get(f"{address}/health"))["status"] == "ok"
    assert b"<html" in get(f"{address}/")
    assert get(f"{address}/tiles/demo/{cycle}/mean/30/7/65/42.png").startswith(b"\x89PNG")
    point = json.loads(get(f"{address}/api/domains/demo/cycles/{cycle}/point?lat=52.09&lon=5.12"))
    assert len(point["rate"]["mean"]) == 16
    process.send_signal(signal.SIGTERM)
    assert process.wait(30.0) in {0, 143, -signal.SIGTERM}
    told = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert [line for line in told if line["level"] == "error"] == []
