"""Viewers made for RainViewer's layout, from the npm registry, show the maps of this service as they are.

Only where they ask for the list of maps is changed, and that by the browser.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import service_stores as stores
from browser_page import WIDE, chromium, free_port, served, until
from playwright.sync_api import Browser, Page, Response, Route
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from ssldm.service.app import create_app
from ssldm.service.store import Store
from ssldm.service.times import stamp_of

pytestmark = pytest.mark.slow
PACKAGES = ("leaflet@1.9.4", "mapbox-gl@1.13.3", "mapbox-gl-rain-layer@0.5.0")
LIST = "https://api.rainviewer.com/public/weather-maps.json"
PLACE = {"lat": 53.4, "lon": 1.9}
# As its page on npm says to use it.
RAIN_LAYER = f"""<!doctype html><title>Rain layer</title>
<div id="map" style="width: 600px; height: 500px"></div>
<script src="node_modules/mapbox-gl/dist/mapbox-gl.js"></script>
<script src="node_modules/mapbox-gl-rain-layer/dist/mapbox-gl-rain-layer.min.js"></script>
<script>
  const style = {{ version: 8, sources: {{}}, layers: [] }};
  const center = [{PLACE["lon"]}, {PLACE["lat"]}];
  const map = new mapboxgl.Map({{ container: "map", style, center, zoom: 8 }});
  window.shown = [];
  map.on("load", () => {{
    const layer = new RainLayer({{ id: "rain", source: "rainviewer", scale: "noaa" }});
    layer.on("refresh", ({{ timestamp }}) => window.shown.push(timestamp));
    map.addLayer(layer);
  }});
</script>"""
# Leaflet, with one layer a frame, as RainViewer's documentation describes.
LEAFLET = f"""<!doctype html><title>Leaflet</title>
<link rel="stylesheet" href="node_modules/leaflet/dist/leaflet.css">
<div id="map" style="width: 600px; height: 500px"></div>
<script src="node_modules/leaflet/dist/leaflet.js"></script>
<script>
  const map = L.map("map", {{ fadeAnimation: false }}).setView([{PLACE["lat"]}, {PLACE["lon"]}], 8);
  window.shown = [];
  fetch("{LIST}").then((answer) => answer.json()).then(({{ host, radar }}) => {{
    const frames = [...radar.past, ...radar.nowcast];
    let before = null;
    const play = (number) => {{
      const {{ time, path }} = frames[number % frames.length];
      const layer = L.tileLayer(`${{host}}${{path}}/256/{{z}}/{{x}}/{{y}}/2/1_1.png`);
      layer.on("load", () => {{
        window.shown.push(time);
        before?.remove();
        before = layer;
        setTimeout(play, 50, number + 1);
      }});
      layer.addTo(map);
    }};
    play(0);
  }});
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the packages in it, and a page for each viewer."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm is installed")
    found = tmp_path_factory.mktemp("viewers")
    (found / "package.json").write_text("{}")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", *PACKAGES]
    try:
        done = subprocess.run(command, cwd=found, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    if done.returncode:
        pytest.skip(f"the npm registry is not reached: {done.stderr[-300:]}")
    (found / "rain_layer.html").write_text(RAIN_LAYER)
    (found / "leaflet.html").write_text(LEAFLET)
    return found


class Viewer:
    """A viewer in the browser.

    Attributes:
        page: that it is on.
        service: address of the service.
        answers: status of each picture, by its path.
        others: servers that were asked for anything else.
    """

    def __init__(self, page: Page, service: str, own: str) -> None:
        self.page, self.service = page, service
        self.answers: dict[str, int] = {}
        self.others: set[str] = set()
        self._known = {urlsplit(service).netloc, urlsplit(own).netloc, urlsplit(LIST).netloc, ""}
        page.on("response", self._answered)
        page.on("request", lambda asked: self.others.update({urlsplit(asked.url).netloc} - self._known))
        page.route(LIST, self._rerouted)

    def shown(self) -> list[int]:
        """Times of the frames that it has shown so far, in seconds."""
        found: list[int] = self.page.evaluate("window.shown")
        return found

    def radar(self) -> dict[str, list[dict[str, Any]]]:
        """Frames as the service lists them."""
        found: dict[str, list[dict[str, Any]]] = httpx.get(f"{self.service}/public/weather-maps.json").json()[
            "radar"
        ]
        return found

    def tiles(self, path: str) -> list[int]:
        """Status of all pictures of a frame that it asked for."""
        self.page.evaluate("0")  # answers are told of meanwhile
        return [status for asked, status in self.answers.items() if asked.startswith(f"{path}/256/")]

    def _answered(self, answer: Response) -> None:
        parts = urlsplit(answer.url)
        if parts.path.startswith("/v2/"):
            self.answers[parts.path] = answer.status

    def _rerouted(self, route: Route) -> None:
        route.fulfill(response=route.fetch(url=f"{self.service}/public/weather-maps.json"))


@contextmanager
def viewing(browser: Browser, folder: Path, store: Store, name: str) -> Iterator[Viewer]:
    """A viewer of a store's service, which is another origin than its own."""
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    app = create_app(stores.config_of(origins=[own]), store, stores.clock_after(60.0))
    pages = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    context = browser.new_context(viewport=WIDE)
    with served(app) as service, served(pages, port):
        page = context.new_page()
        viewer = Viewer(page, service, own)
        page.clock.install()
        page.goto(f"{own}/{name}.html")
        yield viewer
        context.close()
    assert not viewer.others


def seconds(time: np.datetime64) -> int:
    return int((time - np.datetime64(0, "s")) / np.timedelta64(1, "s"))


def test_leaflet_plays_the_whole_loop_of_past_and_forecast(browser, folder, store):
    with viewing(browser, folder, store, "leaflet") as viewer:
        radar = viewer.radar()
        loop = [*radar["past"], *radar["nowcast"]]
        assert len(loop) == stores.FRAMES + stores.LEADS
        until(lambda: len(viewer.shown()) > len(loop), "the loop begins again", 60.0)
        times = [frame["time"] for frame in loop]
        assert viewer.shown()[: len(loop) + 1] == [*times, times[0]]
        for frame in loop:
            statuses = viewer.tiles(frame["path"])
            assert len(statuses) >= 4, frame
            assert set(statuses) == {200}, frame
        # And they are pictures.
        drawn = viewer.page.evaluate("""() => [...document.querySelectorAll("img.leaflet-tile-loaded")]
            .map(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])""")
        assert drawn
        assert all(size == [256, 256] for size in drawn)


def test_a_rain_layer_follows_the_newest_frame(browser, folder, own_store, frames):
    times = [stores.LAST + number * stores.STEP for number in range(4)]
    with viewing(browser, folder, own_store, "rain_layer") as viewer:
        for number, time in enumerate(times):
            own_store.put_frame(stores.DOMAIN, stamp_of(time), frames[-1 - number])
            until(
                lambda time=time: viewer.radar()["past"][-1]["time"] == seconds(time),
                "the service has the frame",
            )
            if number:
                viewer.page.clock.fast_forward("10:01")  # it looks each ten minutes
            until(lambda number=number: len(viewer.shown()) > number, "the next frame is found", 60.0)
            path = f"/v2/radar/{stores.DOMAIN}/{stamp_of(time)}"
            until(lambda path=path: len(viewer.tiles(path)) >= 4, "its tiles are asked for", 60.0)
            assert set(viewer.tiles(path)) == {200}
        assert viewer.shown() == [seconds(time) for time in times]
        assert all(re.search(r"/256/\d+/\d+/\d+/0/0_1\.png$", path) for path in viewer.answers)
