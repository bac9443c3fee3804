"""Pictures of the live service's page for the documentation: of the demonstration, in Debian's Chromium.

python experiments/serve_pictures.py [--members 8] [--cycles 20] [--out docs/images] [--at http://…]
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PORT = 8973
LEAD_MINUTES = 30
MOST_BYTES = 250_000
WIDE, PHONE = (1280, 800), (360, 740)
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SHOWN = "document.getElementById('map').dataset.shown === document.getElementById('map').dataset.address"


def wait(found: Callable[[], Any], seconds: float, what: str) -> Any:
    """What is found as soon as it is anything.

    Raises:
        TimeoutError: it stays nothing.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.2)
    raise TimeoutError(what)


@contextmanager
def demonstration(members: int) -> Iterator[str]:
    """The address of a demonstration that runs meanwhile."""
    command = [
        sys.executable,
        "-m",
        "ssldm",
        "serve",
        "--demo",
        "--members",
        str(members),
        "--port",
        str(PORT),
    ]
    process = subprocess.Popen([*command, "--log-level", "warning"])
    try:
        yield f"http://127.0.0.1:{PORT}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def enough(client: httpx.Client, cycles: int) -> bool:
    """Whether so many forecasts were made, and some compared with radar at all lead times."""
    try:
        domain = client.get("/api/domains").json()["domains"][0]
        if domain["newest_cycle"] is None:
            return False
        path = f"/api/domains/{domain['name']}"
        made = client.get(f"{path}/times").json()["cycles"]
        leads = client.get(f"{path}/skill").json()["by_lead"]
    except httpx.HTTPError:
        return False
    return len(made) >= cycles and bool(leads) and leads[-1]["lead_minutes"] >= domain["lead_minutes"][-1]


def rainy_place(client: httpx.Client) -> tuple[float, float]:
    """Where the medians of the newest forecast are highest, of some places well inside of the domain."""
    domain = client.get("/api/domains").json()["domains"][0]
    west, south, east, north = domain["bounds"]
    path = f"/api/domains/{domain['name']}/cycles/latest/point"
    best, place = -1.0, (0.0, 0.0)
    for lat in np.linspace(south, north, 17)[4:-4]:
        for lon in np.linspace(west, east, 17)[4:-4]:
            where = round(float(lat), 3), round(float(lon), 3)
            rate = client.get(path, params={"lat": where[0], "lon": where[1]}).json()["rate"]
            most = sum(each or 0.0 for each in rate["quantiles"]["0.5"])
            if most > best:
                best, place = most, where
    return place


@contextmanager
def opened(browser: Browser, address: str, size: tuple[int, int], **context: Any) -> Iterator[Page]:
    """The page, ready."""
    made = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        locale="en-GB",
        timezone_id="Europe/Amsterdam",
        **context,
    )
    page = made.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    yield page
    made.close()


def newest(page: Page) -> bool:
    """Whether the forecast is of the newest frame."""
    times = [re.search(r"\d\d:\d\d UTC", page.inner_text(each)) for each in ("#age", "#cycle")]
    return all(times) and len({found[0] for found in times if found}) == 1


def take(page: Page, path: Path, minutes: int | None = None) -> None:
    """A picture, of the forecast so many minutes ahead if they are given."""
    for _ in range(5):
        wait(lambda: newest(page), 60.0, "a forecast of the newest frame")
        if minutes is not None:
            page.keyboard.press("n")
            while f"+{minutes} min" not in page.inner_text("#time-kind"):
                page.keyboard.press("ArrowRight")
        wait(lambda: page.evaluate(SHOWN), 20.0, "a whole map")
        page.wait_for_timeout(500)
        page.screenshot(path=path)
        # A new forecast may have come meanwhile, of which this is another lead time, or a frame.
        if newest(page) and (minutes is None or f"+{minutes} min" in page.inner_text("#time-kind")):
            break
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    whole.save(path, optimize=True)
    print(path, path.stat().st_size)
    assert path.stat().st_size <= MOST_BYTES, path


def pictures(address: str, out: Path) -> None:
    """All four."""
    with httpx.Client(base_url=address, timeout=30.0) as client:
        lat, lon = rainy_place(client)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        with opened(browser, f"{address}/", WIDE) as page:
            take(page, out / "serve-map.png", LEAD_MINUTES)
        with opened(browser, f"{address}/#point={lat}/{lon}", WIDE) as page:
            page.wait_for_selector(".fan")
            take(page, out / "serve-point.png", LEAD_MINUTES)
        with opened(browser, f"{address}/", WIDE) as page:
            page.click("#show-skill")
            page.wait_for_selector(".reliability")
            take(page, out / "serve-skill.png")
        phone = {"color_scheme": "dark", "is_mobile": True, "has_touch": True}
        with opened(browser, f"{address}/#show=probability-2", PHONE, **phone) as page:
            take(page, out / "serve-phone.png", LEAD_MINUTES)
        browser.close()


def main() -> None:
    """Wait for forecasts, then take pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--cycles", type=int, default=20, help="to wait for")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--at", help="address of a demonstration that runs already")
    asked = parser.parse_args()
    if asked.at:
        pictures(asked.at, asked.out)
        return
    with demonstration(asked.members) as address, httpx.Client(base_url=address, timeout=30.0) as client:
        wait(lambda: enough(client, asked.cycles), 900.0, "enough forecasts")
        pictures(address, asked.out)


if __name__ == "__main__":
    main()
