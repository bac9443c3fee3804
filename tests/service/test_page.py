"""The page of the service, as a reader uses it: a real server and a real browser."""

import json
import re
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import service_stores as stores
from axe_playwright_python.sync_playwright import Axe
from browser_page import (
    PHONE,
    at,
    chromium,
    class_of,
    colour_in_the_middle,
    free_port,
    link_of,
    look_at,
    opened,
    place_alike,
    served,
    until,
    until_drawn,
)
from forecasts import KNMI
from playwright.sync_api import Browser, Page

from ssldm.service.app import create_app
from ssldm.service.times import iso, stamp_of

CYCLE = f"/api/domains/{stores.DOMAIN}/cycles/{stamp_of(stores.LAST)}"
FIRST, LAST, END = (
    iso(time)[:16] for time in (stores.START, stores.LAST, stores.LAST + stores.LEADS * stores.STEP)
)
HAND_HELD = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
AREA = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[w, 53.1], [w + 0.2, 53.1], [w + 0.2, 53.3], [w, 53.3], [w, 53.1]]],
            },
        }
        for name, w in (("Regge", 1.7), ("Berkel", 2.0))
    ],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(browser, store) -> Iterator[str]:
    with served(create_app(stores.config_of(), store, stores.clock_after())) as found:
        yield found


@pytest.fixture(scope="module")
def rainy(frames) -> tuple[float, float]:
    """A place where it rains in the newest frame."""
    lat, lon, _ = place_alike(frames[-1], [0.1, 1.0, 2.0], KNMI)
    return lat, lon


def legend_of(address: str, scale: str) -> list[dict]:
    return httpx.get(f"{address}/api/domains").json()["colours"][scale]


def colour_classes(page: Page, field, legend: list[dict]) -> tuple[int, int]:
    """The class of a rainy place, as the map shows it and as it is."""
    least = [each["from"] for each in legend]
    look_at(page, *place_alike(field, least, KNMI, dry=True)[:2])
    ground = colour_in_the_middle(page)
    lat, lon, expected = place_alike(field, least, KNMI)
    look_at(page, lat, lon)
    return class_of(colour_in_the_middle(page), ground, legend), expected


def text_of(page: Page, selector: str) -> str:
    return page.inner_text(selector).replace("\n", " ")


def test_the_page_opens_at_now_and_shows_the_rain_in_the_colours_of_its_legend(browser, address, frames):
    with opened(browser, address) as page:
        assert at(page) == ("observed", LAST)
        assert page.inner_text("#time-utc") == f"{LAST[11:]} UTC"
        assert page.get_attribute("#age", "data-state") == "fresh"
        assert page.get_attribute("#cycle", "data-state") == "full"
        assert f"{stores.MEMBERS} members" in page.inner_text("#cycle")
        assert page.locator("#legend").get_attribute("data-kind") == "observed"
        legend = legend_of(address, "rain")
        assert page.locator("#legend-scale li").count() == len(legend)
        seen, expected = colour_classes(page, frames[-1], legend)
        assert seen == expected
        assert expected >= 4


def test_the_loop_plays_and_pauses(browser, address):
    with opened(browser, address) as page:
        page.evaluate("""() => {
            const line = document.getElementById("timeline");
            window.times = [];
            new MutationObserver(() => window.times.push(line.dataset.time))
                .observe(line, { attributes: true, attributeFilter: ["data-time"] });
        }""")
        page.click("#play")
        assert page.get_attribute("#play", "aria-label") == "Pause"
        until(lambda: at(page)[1] == END, "the loop gets to the end of the forecast")
        until(lambda: at(page)[1] == FIRST, "the loop begins again")
        page.click("#play")
        times = page.evaluate("window.times")
        page.wait_for_timeout(700)
        assert page.evaluate("window.times") == times, "it goes on although it was paused"
        once = times[: stores.LEADS]
        assert [each[:16] for each in once] == [
            iso(stores.LAST + (n + 1) * stores.STEP)[:16] for n in range(stores.LEADS)
        ]


def test_the_slider_and_the_keys_choose_the_time(browser, address):
    with opened(browser, address) as page:
        page.locator("#time").fill("3")
        assert at(page) == ("observed", iso(stores.START + 3 * stores.STEP)[:16])
        assert "observed/" + stamp_of(stores.START + 3 * stores.STEP) in page.get_attribute(
            "#map", "data-address"
        )
        until_drawn(page)
        page.click("#now")
        assert at(page) == ("observed", LAST)
        assert page.is_disabled("#now")
        box = page.locator("#time").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] / 2, steps=5)
        page.mouse.up()
        assert at(page) == ("forecast", END)
        until_drawn(page)
        page.evaluate("document.activeElement.blur()")
        for key, expected in (
            ("Home", ("observed", FIRST)),
            ("ArrowRight", ("observed", iso(stores.START + stores.STEP)[:16])),
            ("ArrowLeft", ("observed", FIRST)),
            ("End", ("forecast", END)),
            ("n", ("observed", LAST)),
            ("ArrowRight", ("forecast", iso(stores.LAST + stores.STEP)[:16])),
        ):
            page.keyboard.press(key)
            assert at(page) == expected, key
        page.keyboard.press("Space")
        assert page.get_attribute("#play", "aria-label") == "Pause"
        page.keyboard.press("Space")
        assert page.get_attribute("#play", "aria-label") == "Play"


def fan_of(page: Page) -> dict[str, list[float]]:
    """Values (mm/h) of the lines of the fan chart, read off it."""
    drawn = page.evaluate("""() => {
        const chart = document.querySelector(".fan");
        const path = (name) => chart.querySelector(`path.${name}`).getAttribute("d");
        const ticks = [...chart.querySelectorAll("line.grid")].map((line) =>
            [Number(line.getAttribute("y1")), Number(line.nextElementSibling.textContent)]);
        return { ticks, paths: { median: path("median"), observed: path("observed"), band: path("band") } };
    }""")
    (bottom, low), *_, (top, high) = drawn["ticks"]
    return {
        name: [
            low + (float(y) - bottom) / (top - bottom) * (high - low)
            for y in re.findall(r"[ML][-\d.]+ ([-\d.]+)", path)
        ]
        for name, path in drawn["paths"].items()
    }


def test_a_place_that_is_clicked_on_gets_its_fan_chart_and_csv(browser, address, rainy):
    lat, lon = rainy
    with opened(browser, address, f"map=10/{lat}/{lon}") as page:
        box = page.locator("#map").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector(".fan")
        found = re.search(r"point=([-\d.]+)/([-\d.]+)", link_of(page))
        place = {"lat": found[1], "lon": found[2]}
        assert abs(float(found[1]) - lat) + abs(float(found[2]) - lon) < 0.01
        answer = httpx.get(f"{address}{CYCLE}/point", params=place).json()
        observed, quantiles = answer["observed"]["rate"], answer["rate"]["quantiles"]
        fan = fan_of(page)
        step = 0.005 * max(fan["band"])  # what a tenth of a pixel of the chart is worth, and a little
        np.testing.assert_allclose(fan["observed"], observed, atol=step)
        np.testing.assert_allclose(fan["median"], [observed[-1], *quantiles["0.5"]], atol=step)
        band = [observed[-1], *quantiles["0.9"], *quantiles["0.1"][::-1], observed[-1]]
        np.testing.assert_allclose(fan["band"], band, atol=step)
        assert max(quantiles["0.9"]) > 1.0
        page.click(".numbers summary")
        rows = [row.split("\t") for row in page.inner_text(".numbers tbody").split("\n")][-stores.LEADS :]
        of = answer["rate"]
        columns = [of["mean"], *quantiles.values()]
        for row, *values in zip(rows, *columns, strict=True):
            np.testing.assert_allclose([float(each) for each in row[1:5]], values, atol=0.0051)
        chances = [[float(each.rstrip("%")) for each in row[5:]] for row in rows]
        np.testing.assert_allclose(chances, 100.0 * np.transpose(list(of["probability"].values())), atol=0.51)
        assert f"{answer['arrival']['probability']:.0%} probable" in page.inner_text("#arrival")
        with page.expect_download() as download:
            page.click("#csv")
        csv = httpx.get(f"{address}{CYCLE}/point", params={**place, "format": "csv"}).text
        assert download.value.path().read_text() == csv
        page.focus("#panel-title")
        page.keyboard.press("Escape")
        assert page.is_hidden("#panel")
        assert "point=" not in link_of(page)


def test_a_probability_has_its_own_scale_and_tiles(browser, address, forecast):
    with opened(browser, address) as page:
        page.select_option("#group", "probability")
        page.select_option("#value", "probability-2")
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("End")
        lead = f"{stores.lead_minutes()[-1]:g}"
        cycle = stamp_of(stores.LAST)
        assert f"/tiles/{stores.DOMAIN}/{cycle}/probability-2/{lead}/" in page.get_attribute(
            "#map", "data-address"
        )
        until_drawn(page)
        assert page.get_attribute("#legend", "data-scale") == "probability"
        assert "%" in page.inner_text("#legend-title")
        legend = legend_of(address, "probability")
        assert [float(each) for each in page.locator("#legend-scale li").all_inner_texts()] == [
            round(100 * each["from"]) for each in legend
        ]
        assert "show=probability-2" in link_of(page)
        field = forecast["rate_probability"].sel(threshold=2.0).isel(lead_time=-1)
        seen, expected = colour_classes(page, field, legend)
        assert seen == expected


def test_catchments_are_drawn_with_keys_and_loaded_from_a_file(browser, address, tmp_path):
    with opened(browser, address) as page:
        page.focus("#draw")
        page.keyboard.press("Enter")
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
            page.keyboard.press("Enter")
            before = link_of(page)
            page.keyboard.press(key)
            until(lambda before=before: link_of(page) != before, "the map moves")
        assert page.inner_text("#draw-count").endswith("3")
        page.focus("#draw-finish")
        page.keyboard.press("Enter")
        page.wait_for_selector(".fan")
        assert page.inner_text("#panel-title") == "Drawn area"
        assert page.is_hidden("#drawing")

        (tmp_path / "point.json").write_text('{"type": "Point", "coordinates": [1, 2]}')
        page.set_input_files("#file", tmp_path / "point.json")
        page.wait_for_selector("#message:not([hidden])")
        assert "point.json" in page.inner_text("#message-text")

        (tmp_path / "two.geojson").write_text(json.dumps(AREA))
        page.set_input_files("#file", tmp_path / "two.geojson")
        page.wait_for_selector("#areas")
        page.select_option("#areas", label="Berkel")
        assert page.inner_text("#panel-title") == "Berkel"
        answer = httpx.post(f"{address}{CYCLE}/area", json=AREA).json()["areas"][1]
        assert f"{answer['area_km2']:.0f} km²" in page.inner_text("#panel-body")
        median = [answer["observed"]["rate"][-1], *answer["rate"]["quantiles"]["0.5"]]
        fan = fan_of(page)
        np.testing.assert_allclose(fan["median"], median, atol=0.005 * max(fan["band"]))
        with page.expect_download() as download:
            page.click("#csv")
        csv = httpx.post(f"{address}{CYCLE}/area", params={"format": "csv"}, json=AREA).text
        assert download.value.path().read_text() == csv


def test_a_degraded_cycle_says_why_until_a_new_one_comes_by_itself(
    browser, own_store, frames, forecast, rainy
):
    reason = "8 members do not fit into the budget"
    own_store.put_cycle(
        stores.DOMAIN, {**stores.summary_of(stores.LAST, "extrapolation"), "reasons": [reason]}, None, None
    )
    later = stores.LAST + stores.STEP
    lat, lon = rainy
    app = create_app(stores.config_of(), own_store, stores.clock_after(6.0))
    with served(app) as address, opened(browser, address, f"point={lat}/{lon}") as page:
        assert page.get_attribute("#cycle", "data-state") == "extrapolation"
        assert reason in page.inner_text("#cycle")
        page.wait_for_selector(".fan")
        page.evaluate("window.same = true")
        page.wait_for_timeout(1200)  # until what is there is known to the server, too
        own_store.put_frame(stores.DOMAIN, stamp_of(later), frames[-2])
        own_store.put_cycle(stores.DOMAIN, stores.summary_of(later), forecast, None)
        until(lambda: at(page) == ("observed", iso(later)[:16]), "now follows", 10.0)
        until(lambda: page.get_attribute("#cycle", "data-state") == "full", "the new cycle is shown")
        assert page.is_disabled("#now")
        until(lambda: iso(later)[11:16] in text_of(page, "#age"), "the newest frame is told")
        until(
            lambda: text_of(page, "#panel-body p:last-child").startswith("Forecast of 04:20"),
            "the panel follows",
        )
        until_drawn(page)
        assert page.evaluate("window.same") is True


def test_a_lost_connection_is_told_and_found_again(browser, store):
    port = free_port()

    def app():
        return create_app(stores.config_of(), store, stores.clock_after())

    with served(app(), port) as address:
        lonely = opened(browser, address, lonely=True)
        page = lonely.__enter__()
        assert page.is_hidden("#lost")
    until(lambda: page.is_visible("#lost"), "the loss is told")
    assert page.get_attribute("html", "data-connected") == "false"
    with served(app(), port):
        until(lambda: page.is_hidden("#lost"), "the server is found again")
        lonely.__exit__(None, None, None)


CONTROLS = (
    "#draw", "#load", "#show-skill", "#show-alarms", "#theme", "#back", "#play", "#forward", "#now", "#time",
    "#group", "#value",
)  # fmt: skip


def assert_all_fits(page: Page) -> None:
    width, height = PHONE["width"], PHONE["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("visualViewport.scale") == 1.0
    for each in CONTROLS:
        box = page.locator(each).bounding_box()
        assert box is not None, each
        assert box["x"] >= 0, each
        assert box["y"] >= 0, each
        assert box["x"] + box["width"] <= width, each
        assert box["y"] + box["height"] <= height, each
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        assert page.evaluate(
            "([x, y, control]) => document.elementFromPoint(x, y).closest(control) !== null", [*middle, each]
        ), f"{each} is covered"
    assert page.locator("#title-domain").bounding_box()["height"] < 30, "more than one line"
    assert page.locator("header").bounding_box()["height"] < 120


def test_all_of_it_fits_on_a_phone(browser, own_store, forecast, rainy):
    lat, lon = rainy
    title = "The catchments of the Regge, the Dinkel and the Berkel"
    own_store.put_about(stores.DOMAIN, {**stores.about_of(forecast), "title": title})
    config = stores.config_of(domains=[{"name": stores.DOMAIN, "watch": ["x"]}])
    link = "show=probability-2"
    with (
        served(create_app(config, own_store, stores.clock_after())) as address,
        opened(browser, address, link, **HAND_HELD) as page,
    ):
        assert page.inner_text("#title-domain") == title
        assert_all_fits(page)
        page.locator("#map canvas").tap()
        page.wait_for_selector(".fan")
        assert_all_fits(page)
        page.tap("#show-skill")
        assert_all_fits(page)
        page.tap("#panel-close")
        page.tap("#draw")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.locator("#drawing").bounding_box()["x"] >= 0
        page.tap("#draw-cancel")
        page.evaluate(f"location.hash += '&point={lat}/{lon}'")
        page.wait_for_selector(".fan")
        assert_all_fits(page)


def brightness(page: Page) -> float:
    """Of the page's ground, 0 to 255."""
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return float(np.mean([int(each) for each in re.findall(r"\d+", ground)[:3]]))


def test_it_is_dark_where_the_system_is_or_the_reader_likes_it(browser, address, frames):
    lat, lon, _ = place_alike(frames[-1], [0.1], KNMI, dry=True)
    with opened(browser, address, f"map=10/{lat}/{lon}", color_scheme="dark") as page:
        assert page.get_attribute("#theme", "aria-pressed") == "true"
        assert brightness(page) < 60
        assert colour_in_the_middle(page).mean() < 80
        page.click("#theme")
        assert brightness(page) > 200
        until(lambda: colour_in_the_middle(page).mean() > 200, "the map is light")
        page.reload()
        page.wait_for_selector("html[data-ready=true]")
        assert brightness(page) > 200


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, HAND_HELD],
    ids=["light", "dark", "phone"],
)
def test_nothing_keeps_readers_out(browser, address, rainy, context):
    lat, lon = rainy
    with opened(browser, address, f"show=probability-2&point={lat}/{lon}", **context) as page:
        page.wait_for_selector(".fan")
        found = Axe().run(page).response["violations"]
    grave = [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not grave
