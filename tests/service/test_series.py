"""Points and areas: the products of the forecast in memory, to what the store rounds."""

import csv
import json
from io import StringIO

import numpy as np
import pyproj
import pytest
import service_stores as stores
import shapely
import shapely.geometry

from ssldm.products.grid import PixelGrid
from ssldm.service.times import iso, stamp_of

LAST = stamp_of(stores.LAST)
CYCLE = f"/api/domains/{stores.DOMAIN}/cycles/{LAST}"
# Of rates in mm/h; of amounts, sums of twelve five minutes of them.
ROUNDING = 0.0101
ROW, COLUMN = 40, 70


def degrees_of(forecast, row: float, column: float) -> tuple[float, float]:
    """Latitude and longitude of a pixel."""
    grid = PixelGrid.of(forecast)
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(grid.x + column * grid.dx, grid.y + row * grid.dy)
    return lat, lon


def box_of(forecast, rows: tuple[float, float], columns: tuple[float, float]) -> dict:
    """A polygon in degrees around the edges of pixels, with many points on each side."""
    corners = shapely.segmentize(
        shapely.box(columns[0] - 0.5, rows[0] - 0.5, columns[1] + 0.5, rows[1] + 0.5), 0.5
    )
    places = [degrees_of(forecast, row, column)[::-1] for column, row in shapely.get_coordinates(corners)]
    return shapely.geometry.mapping(shapely.Polygon(places))


@pytest.fixture
def point(client, forecast):
    lat, lon = degrees_of(forecast, ROW, COLUMN)
    answer = client.get(f"{CYCLE}/point", params={"lat": lat, "lon": lon})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_point_has_the_products_of_its_pixel(point, forecast, frames):
    place = forecast[["precipitation_rate"]].isel(y=ROW, x=COLUMN)
    joined = place.ssldm.joined(frames.isel(y=ROW, x=COLUMN).drop_vars(["x", "y"]))
    np.testing.assert_allclose(point["rate"]["mean"], place.ssldm.mean(), atol=ROUNDING)
    for q in stores.QUANTILES:
        np.testing.assert_allclose(
            point["rate"]["quantiles"][f"{q:g}"], place.ssldm.quantile(q), atol=ROUNDING
        )
        amount = joined.ssldm.quantile(q, period=stores.PERIOD)
        amount = amount.sel(lead_time=place["lead_time"])
        found = point["amount"][stores.PERIOD]["quantiles"][f"{q:g}"]
        np.testing.assert_allclose(found, amount, atol=ROUNDING)
    for threshold in stores.THRESHOLDS:
        rates = place["precipitation_rate"]
        found = np.array(point["rate"]["probability"][f"{threshold:g}"])
        # A rate within the rounding may lie on either side.
        assert ((rates >= threshold + ROUNDING).mean("member").values <= found + 1e-6).all()
        assert (found <= (rates >= threshold - ROUNDING).mean("member").values + 1e-6).all()


def test_a_point_has_what_the_maps_show(point, store):
    stored = store.forecast(stores.DOMAIN, LAST).isel(y=ROW, x=COLUMN)
    np.testing.assert_allclose(point["rate"]["mean"], stored["mean_rate"], atol=2 * ROUNDING)
    for name, kind, dimension in (
        ("quantiles", "quantile", "quantile"),
        ("probability", "probability", "threshold"),
    ):
        for key, values in point["amount"][stores.PERIOD][name].items():
            of = stored[f"amount_{kind}_{stores.PERIOD}"].sel({dimension: float(key)})
            np.testing.assert_allclose(values, of, atol=2 * ROUNDING if kind == "quantile" else 0.17)


def test_a_point_tells_times_and_what_was_observed(point, frames):
    leads = stores.lead_minutes()
    assert point["lead_minutes"] == leads
    assert point["valid_time"][0] == iso(stores.LAST + stores.STEP)
    assert (point["domain"], point["cycle"], point["state"]) == (stores.DOMAIN, LAST, "full")
    assert point["members"] == stores.MEMBERS
    seen = frames.isel(y=ROW, x=COLUMN).sel(time=slice(stores.LAST - 12 * stores.STEP, None))
    assert point["observed"]["time"] == [iso(time) for time in seen["time"].values]
    np.testing.assert_allclose(point["observed"]["rate"], seen, atol=ROUNDING)
    assert point["amount"][stores.PERIOD]["known_share"] == [1.0] * stores.LEADS


def test_rain_arrives_when_so_many_members_have_it(point, store):
    rate = store.forecast(stores.DOMAIN, LAST)["precipitation_rate"].isel(y=ROW, x=COLUMN).round(2)
    arrival = point["arrival"]
    assert arrival["threshold"] == min(stores.THRESHOLDS)
    has = (rate >= arrival["threshold"]).values
    assert arrival["probability"] == pytest.approx(has.any(axis=1).mean(), abs=1e-5)
    come = np.maximum.accumulate(has, axis=1).mean(axis=0)
    for share, time in arrival["time"].items():
        enough = np.flatnonzero(come >= float(share) - 1e-9)
        assert time == (point["valid_time"][enough[0]] if enough.size else None)


def test_what_is_not_forecast_is_null(client, forecast):
    lat, lon = degrees_of(forecast, 2, 2)  # not observed; the members are moved frames
    found = client.get(f"{CYCLE}/point", params={"lat": lat, "lon": lon}).json()
    assert set(found["observed"]["rate"]) == {None}
    assert found["rate"]["mean"][0] is None
    assert found["arrival"]["time"]["0.5"] is None


def test_csv_has_the_values_of_json(client, point):
    answer = client.get(f"{CYCLE}/point", params={"lat": point["lat"], "lon": point["lon"], "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(StringIO(answer.text)))
    check_rows(rows, point, {"lat": point["lat"], "lon": point["lon"]})


def check_rows(rows: list[dict[str, str]], series: dict, place: dict[str, float]) -> None:
    """All values of a series stand in the rows, and no others."""
    amounts = series["amount"][stores.PERIOD]
    expected = {("mean_rate", "", ""): series["rate"]["mean"]}
    expected |= {("rate_quantile", q, ""): v for q, v in series["rate"]["quantiles"].items()}
    expected |= {("rate_probability", "", t): v for t, v in series["rate"]["probability"].items()}
    expected |= {(f"amount_quantile_{stores.PERIOD}", q, ""): v for q, v in amounts["quantiles"].items()}
    expected |= {(f"amount_probability_{stores.PERIOD}", "", t): v for t, v in amounts["probability"].items()}
    expected |= {(f"known_share_{stores.PERIOD}", "", ""): amounts["known_share"]}
    expected |= {("observed_rate", "", ""): series["observed"]["rate"]}
    found: dict = {}
    for row in rows:
        assert all(float(row[name]) == pytest.approx(value, abs=1e-4) for name, value in place.items())
        found.setdefault((row["product"], row["quantile"], row["threshold"]), []).append(row)
    assert found.keys() == expected.keys()
    for key, of in found.items():
        values = [float(row["value"]) if row["value"] else None for row in of]
        assert values == expected[key], key
        times = series["observed"]["time"] if key[0] == "observed_rate" else series["valid_time"]
        assert [row["valid_time"] for row in of] == times


def test_an_area_of_whole_pixels_has_their_mean(client, forecast, frames):
    rows, columns = (30, 41), (60, 75)
    part = {"y": slice(rows[0], rows[1] + 1), "x": slice(columns[0], columns[1] + 1)}
    polygon = box_of(forecast, rows, columns)
    answer = client.post(f"{CYCLE}/area", json=polygon)
    assert answer.status_code == 200, answer.text
    area = answer.json()["areas"][0]
    assert area["area_km2"] == pytest.approx(12 * 16, rel=1e-3)
    np.testing.assert_allclose(area["covered_share"], 1.0)
    of = forecast["precipitation_rate"].isel(part)
    np.testing.assert_allclose(area["rate"]["mean"], of.mean(("y", "x", "member")), atol=0.02, rtol=2e-3)
    seen = frames.isel(part).mean(("y", "x")).values[-13:]
    np.testing.assert_allclose(area["observed"]["rate"], seen, atol=0.02, rtol=2e-3)
    text = client.post(f"{CYCLE}/area", params={"format": "csv"}, json=polygon).text
    check_rows(list(csv.DictReader(StringIO(text))), area, {"area_km2": area["area_km2"]})


def test_areas_are_named_and_in_order(client, forecast):
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": box_of(forecast, (10 * n + 20, 10 * n + 25), (40, 50)),
        }
        for n, name in enumerate("cab")
    ]
    together = client.post(f"{CYCLE}/area", json={"type": "FeatureCollection", "features": features}).json()
    assert [area["name"] for area in together["areas"]] == list("cab")
    alone = client.post(f"{CYCLE}/area", json=features[1]).json()
    assert together["areas"][1] == alone["areas"][0]
    again = client.post(f"{CYCLE}/area", content=json.dumps(features[1], indent=4)).json()
    assert again == alone


def test_an_area_that_is_half_outside_says_so(client, forecast):
    wide = box_of(forecast, (40, 49), (118, 137))  # columns end with 127
    area = client.post(f"{CYCLE}/area", json=wide).json()["areas"][0]
    assert area["covered_share"][0] == pytest.approx(0.5, abs=0.01)
    far = client.post(f"{CYCLE}/area", json=box_of(forecast, (40, 49), (125, 140))).json()["areas"][0]
    assert far["covered_share"][0] < 0.5
    assert set(far["rate"]["mean"]) == {None}


def test_a_point_or_area_outside_is_not_there(client, forecast):
    lat, lon = degrees_of(forecast, 40, 140)
    assert client.get(f"{CYCLE}/point", params={"lat": lat, "lon": lon}).status_code == 404
    answer = client.post(f"{CYCLE}/area", json=box_of(forecast, (40, 45), (140, 150)))
    assert answer.status_code == 404


def test_a_cycle_without_forecast_has_no_series(client):
    none = stamp_of(stores.LAST - stores.STEP)
    answer = client.get(f"/api/domains/{stores.DOMAIN}/cycles/{none}/point", params={"lat": 53, "lon": 2})
    assert answer.status_code == 404
    assert "no forecast" in answer.json()["detail"]
