"""What a service answers on this machine while it forecasts: many clients at once, times and memory.

python experiments/service.py [--clients 50] [--seconds 60] [--out runs/service.json]
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from urllib.request import urlopen

import httpx
import numpy as np

PORT = 8972
BASE = f"http://127.0.0.1:{PORT}"
POINTS = [(51.6 + 0.1 * n, 4.4 + 0.15 * n) for n in range(10)]


def tiles_of(bounds: list[float], zoom: int) -> Iterator[tuple[int, int]]:
    """Numbers of the web mercator tiles over some bounds."""
    west, south, east, north = bounds
    side = 2**zoom
    columns = [int((lon + 180.0) / 360.0 * side) for lon in (west, east)]
    rows = [int((1.0 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2.0 * side) for lat in (north, south)]
    for x in range(columns[0], columns[1] + 1):
        for y in range(rows[0], rows[1] + 1):
            yield x, y


def addresses(domain: dict) -> dict[str, list[str]]:
    """What clients ask for, by kind."""
    name, newest = domain["name"], domain["newest_cycle"]
    tiles = [
        f"/tiles/{name}/{newest}/{product}/{lead:g}/{zoom}/{x}/{y}.png"
        for product in ("mean", "probability-2", "member-3")
        for lead in domain["lead_minutes"][:8]
        for zoom in (7, 8)
        for x, y in tiles_of(domain["bounds"], zoom)
    ]
    points = [f"/api/domains/{name}/cycles/{newest}/point?lat={lat}&lon={lon}" for lat, lon in POINTS]
    return {"tile": tiles, "point": points, "page": ["/", "/api/domains", f"/api/domains/{name}/times"]}


async def client(asked: dict[str, list[str]], seconds: float, number: int, found: dict) -> None:
    """One client that asks for one thing after another, mostly tiles."""
    rng = np.random.default_rng(number)
    kinds = cycle(["tile", "tile", "tile", "tile", "point", "tile", "tile", "tile", "page"])
    end = time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=BASE, timeout=30.0) as session:
        while time.monotonic() < end:
            kind = next(kinds)
            address = asked[kind][rng.integers(len(asked[kind]))]
            began = time.monotonic()
            try:
                status = (await session.get(address)).status_code
            except httpx.HTTPError as error:
                status = type(error).__name__
            found[kind].append((time.monotonic() - began, status))
            await asyncio.sleep(0.05)


def memory_of(process: int) -> dict[str, float]:
    """Resident MiB of a process and of those that it began."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        number, parent = int(lines["Pid"]), int(lines["PPid"])
        if process in (number, parent) and "VmRSS" in lines:
            kind = "server" if number == process else "forecaster"
            found[kind] = max(found.get(kind, 0.0), int(lines["VmRSS"].split()[0]) / 1024.0)
    return {kind: round(size, 1) for kind, size in found.items()}


def get(path: str) -> dict:
    """An answer in JSON."""
    with urlopen(BASE + path, timeout=30.0) as answer:  # noqa: S310  # loopback
        return json.load(answer)


def main() -> None:
    """Start the demonstration, and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("runs/service.json"))
    asked = parser.parse_args()
    began = time.monotonic()
    command = [sys.executable, "-m", "ssldm", "serve", "--demo", "--port", str(PORT), "--log-level", "error"]
    process = subprocess.Popen(command)
    try:
        while True:
            try:
                if (domains := get("/api/domains")["domains"]) and domains[0]["newest_cycle"]:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        first = time.monotonic() - began
        kinds = addresses(domains[0])
        before = memory_of(process.pid)
        found: dict = defaultdict(list)

        async def together() -> None:
            await asyncio.gather(*(client(kinds, asked.seconds, n, found) for n in range(asked.clients)))

        asyncio.run(together())
        report = {"seconds_to_first_forecast": round(first, 1), "clients": asked.clients}
        for kind, answers in found.items():
            times = np.array([seconds for seconds, _ in answers])
            report[kind] = {
                "answers": len(answers),
                "errors": sum(status != 200 for _, status in answers),
                **{f"p{q}_ms": round(1000.0 * float(np.quantile(times, q / 100)), 1) for q in (50, 95, 99)},
            }
        report["memory_mib"] = {"before": before, "after": memory_of(process.pid)}
        report["cycles"] = [
            {name: each[name] for name in ("cycle", "state", "members", "seconds")}
            for each in get(f"/api/domains/{domains[0]['name']}/times")["cycles"]
        ]
    finally:
        process.terminate()
        process.wait()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=2))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
