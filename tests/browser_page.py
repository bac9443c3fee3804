"""The page of a service in a browser, for tests of it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import uvicorn
import xarray as xr
from fastapi import FastAPI
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pyproj import Transformer
from scipy.ndimage import maximum_filter, minimum_filter

WIDE, PHONE = {"width": 1200, "height": 800}, {"width": 360, "height": 740}
SHOWN = "document.getElementById('map').dataset.shown === document.getElementById('map').dataset.address"
_ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# Pixels of a side: of the map's middle that is looked at, and of radar around it that are alike.
_LOOKED_AT, _ALIKE = 9, 3


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; tests fail without it in CI, and are skipped elsewhere."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def served(app: FastAPI, port: int | None = None) -> Iterator[str]:
    """The address of an app that is served in a thread."""
    port = port or free_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the server starts")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def until(found: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


@contextmanager
def opened(
    browser: Browser, address: str, link: str = "", *, lonely: bool = False, **context: Any
) -> Iterator[Page]:
    """The page, ready and with its tiles drawn.

    When it is closed, there must have been no error and no request to another server; errors are
    accepted from a page that is ``lonely``: whose server goes away.
    """
    options = {"viewport": WIDE, "timezone_id": "Europe/Amsterdam", "locale": "en-GB", **context}
    made = browser.new_context(**options)
    page = made.new_page()
    faults: list[str] = []
    hosts: set[str] = set()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda told: faults.append(told.text) if told.type == "error" else None)
    page.on("request", lambda asked: hosts.add(urlsplit(asked.url).netloc))
    page.goto(f"{address}/#{link}")
    page.wait_for_selector("html[data-ready=true]")
    until_drawn(page)
    yield page
    made.close()
    assert lonely or not faults, faults
    assert hosts - {""} == {urlsplit(address).netloc}


def until_drawn(page: Page) -> None:
    """Wait until the map shows what it is asked for."""
    until(lambda: page.evaluate(SHOWN), "the tiles are drawn")


def link_of(page: Page) -> str:
    """What the page's address says of what it shows."""
    return str(page.evaluate("location.hash"))


def at(page: Page) -> tuple[str, str]:
    """Kind and time (UTC) of the frame shown."""
    told = page.evaluate("({...document.getElementById('timeline').dataset})")
    return told["kind"], told["time"][:16]


def place_alike(
    field: xr.DataArray, least: Sequence[float], crs: str, *, dry: bool = False
) -> tuple[float, float, int]:
    """Latitude and longitude of a place of the highest class that lies amid its like, and that class."""
    values = field.values
    classes = np.digitize(values, np.asarray(least) - 1e-5)
    alike = minimum_filter(classes, _ALIKE) == maximum_filter(classes, _ALIKE)
    inner = np.zeros(values.shape, bool)
    inner[10:-10, 10:-10] = True
    inside = alike & inner & np.isfinite(values) & (minimum_filter(np.isfinite(values), _ALIKE) == 1)
    wanted = 0 if dry else classes[inside].max()
    row, column = np.argwhere(inside & (classes == wanted))[0]
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(
        float(field["x"][column]), float(field["y"][row])
    )
    return round(lat, 4), round(lon, 4), int(wanted)


def look_at(page: Page, lat: float, lon: float) -> None:
    """Move the map to a place."""
    page.evaluate(f"location.hash = location.hash.replace(/map=[^&]*/, 'map=10.00/{lat}/{lon}')")
    until(lambda: f"map=10.00/{lat:.4f}/{lon:.4f}" in link_of(page), "the map moves")
    page.wait_for_timeout(300)
    until_drawn(page)


def colour_in_the_middle(page: Page) -> np.ndarray:
    """The colour of the map there: red, green and blue."""
    box = page.locator("#map").bounding_box()
    assert box is not None
    corner = box["x"] + box["width"] / 2 - _LOOKED_AT // 2, box["y"] + box["height"] / 2 - _LOOKED_AT // 2
    clip = {"x": corner[0], "y": corner[1], "width": _LOOKED_AT, "height": _LOOKED_AT}
    with Image.open(BytesIO(page.screenshot(clip=clip))) as picture:
        return np.median(np.asarray(picture.convert("RGB"), float), axis=(0, 1))


def class_of(colour: np.ndarray, ground: np.ndarray, legend: Sequence[dict[str, Any]]) -> int:
    """The class (0: none) of a colour that lies, a little transparent, over the ground."""
    if np.abs(colour - ground).max() < 4.0:
        return 0
    distances = []
    for each in legend:
        over = np.array([int(each["colour"][n : n + 2], 16) for n in (1, 3, 5)]) - ground
        opacity = np.clip((colour - ground) @ over / (over @ over), 0.6, 1.0)
        distances.append(np.linalg.norm(ground + opacity * over - colour))
    assert min(distances) < 12.0, (colour, ground)
    return int(np.argmin(distances)) + 1
