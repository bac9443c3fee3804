"""Points and areas: the right pixels, exact shares of them, and no edge averaged away."""

import json
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
import shapely.geometry
import xarray as xr
from small_nowcasts import nowcast, random_nowcast

from ssldm.errors import ConfigurationError, ObservationError


def own_crs(forecast: xr.Dataset) -> pyproj.CRS:
    return pyproj.CRS.from_wkt(forecast["crs"].attrs["crs_wkt"])


def test_points_are_those_of_their_pixels(forecast: xr.Dataset) -> None:
    rate = forecast["precipitation_rate"]
    found = forecast.ssldm.at(x=-2600.0, y=1400.0)  # pixels from -3000 to -2000, 1000 to 2000
    np.testing.assert_array_equal(found["precipitation_rate"], rate.isel(y=1, x=0))
    assert (float(found["x"]), float(found["y"])) == (-3000.0, 1500.0)
    assert found.attrs == forecast.attrs
    many = forecast.ssldm.at(x=[-3100.0, 3100.0], y=[2900.0, -2900.0])
    assert many["precipitation_rate"].dims == ("member", "lead_time", "point")
    np.testing.assert_array_equal(many["precipitation_rate"].isel(point=1), rate.isel(y=5, x=6))


def test_degrees_are_those_of_the_map(forecast: xr.Dataset) -> None:
    to_degrees = pyproj.Transformer.from_crs(own_crs(forecast), "EPSG:4326", always_xy=True)
    for row, column in ((0, 0), (5, 6), (2, 3)):
        lon, lat = to_degrees.transform(float(forecast["x"][column]) + 400, float(forecast["y"][row]) - 400)
        found = forecast.ssldm.at(lat=lat, lon=lon)
        np.testing.assert_array_equal(
            found["precipitation_rate"], forecast["precipitation_rate"].isel(y=row, x=column)
        )
        assert float(found["lat"]) == pytest.approx(lat)


def test_a_point_has_products_of_its_own(forecast: xr.Dataset) -> None:
    point = forecast.ssldm.at(x=0.0, y=600.0)
    fan = point.ssldm.quantile([0.1, 0.5, 0.9], period="30min")
    assert fan.dims == ("quantile", "lead_time")
    whole = forecast.ssldm.quantile([0.1, 0.5, 0.9], period="30min")
    np.testing.assert_allclose(fan, whole.sel(x=0.0, y=500.0))
    assert point.ssldm.exceedance_probability(2.0).dims == ("lead_time",)
    assert point.ssldm.arrival_time(2.0)["arrival_time"].dims == ("probability",)


def test_the_mean_over_an_area_is_that_of_its_parts() -> None:
    rate = np.arange(12.0).reshape(1, 1, 3, 4)
    forecast = nowcast(rate)  # x from -2000 to 2000, y from 1500 to -1500
    # A quarter of pixel 0, half of pixel 1, half of pixel 4, all of pixel 5.
    box = shapely.box(-1500.0, -500.0, 0.0, 1000.0)
    found = forecast.ssldm.over(box, crs=own_crs(forecast))
    expected = (0.25 * 0 + 0.5 * 1 + 0.5 * 4 + 1.0 * 5) / 2.25
    assert found["precipitation_rate"].dims == ("member", "lead_time", "area")
    assert found["precipitation_rate"].item() == pytest.approx(expected)
    assert found["area_km2"].item() == pytest.approx(2.25)
    assert found["covered_share"].item() == pytest.approx(1.0)


def test_an_area_of_everything_has_the_mean_of_everything() -> None:
    forecast = nowcast(np.random.default_rng(0).gamma(0.5, 4.0, (3, 4, 20, 30)))
    found = forecast.ssldm.over(shapely.box(-15e3, -10e3, 15e3, 10e3), crs=own_crs(forecast))
    expected = forecast["precipitation_rate"].mean(("y", "x"))
    np.testing.assert_allclose(found["precipitation_rate"].squeeze("area"), expected, rtol=1e-5)


def test_areas_that_make_up_another_add_up_to_it() -> None:
    forecast = random_nowcast(2, 2, 24, 24, seed=3).fillna(0.0)
    whole = shapely.Point(300.0, -200.0).buffer(8_000.0)
    cut = shapely.box(-20e3, -20e3, 1_234.0, 20e3)
    parts = {"west": shapely.intersection(whole, cut), "east": shapely.difference(whole, cut), "whole": whole}
    found = forecast.ssldm.over(parts, crs=own_crs(forecast))
    amount = found["precipitation_rate"] * found["area_km2"]
    np.testing.assert_allclose(
        amount.sel(area="west") + amount.sel(area="east"), amount.sel(area="whole"), rtol=1e-4
    )


def test_a_missing_edge_is_not_averaged_away() -> None:
    rate = np.ones((2, 2, 4, 4))
    rate[:, 1, :, 0] = np.nan
    forecast = nowcast(rate)
    inside, beyond = shapely.box(-2e3, -2e3, 2e3, 2e3), shapely.box(0.0, 0.0, 4e3, 1e3)
    areas = {"inside": inside, "beyond": beyond, "elsewhere": shapely.box(9e3, 9e3, 10e3, 10e3)}
    found = forecast.ssldm.over(areas, crs=own_crs(forecast))
    share = found["covered_share"]
    np.testing.assert_allclose(share, [[1.0, 0.5, 0.0], [0.75, 0.5, 0.0]])
    expected = np.full((2, 3), np.nan)
    expected[0, 0] = 1.0
    for member in found["precipitation_rate"]:
        np.testing.assert_array_equal(member, expected)
    some = forecast.ssldm.over(areas, crs=own_crs(forecast), least_covered=0.7)
    np.testing.assert_array_equal(
        some["precipitation_rate"][0], [[1.0, np.nan, np.nan], [1.0, np.nan, np.nan]]
    )


def catchments(forecast: xr.Dataset) -> dict:
    """GeoJSON of two squares of four kilometres, in degrees."""
    to_degrees = pyproj.Transformer.from_crs(own_crs(forecast), "EPSG:4326", always_xy=True)
    features = []
    for name, x in (("Dommel", -3500.0), ("Aa", 500.0)):
        ring = [
            to_degrees.transform(x + dx, -1000.0 + dy) for dx, dy in ((0, 0), (2e3, 0), (2e3, 2e3), (0, 2e3))
        ]
        shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        features.append(
            {"type": "Feature", "properties": {"name": name, "code": len(name)}, "geometry": shape}
        )
    return {"type": "FeatureCollection", "features": features}


def test_catchments_of_a_file_in_five_lines(forecast: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "catchments.geojson"
    path.write_text(json.dumps(catchments(forecast)))
    probability = forecast.ssldm.over(path).ssldm.exceedance_probability(1.0, period="60min")
    assert probability["area"].values.tolist() == ["Dommel", "Aa"]
    assert probability.dims == ("lead_time", "area")
    np.testing.assert_allclose(probability["area_km2"], [4.0, 4.0], rtol=1e-3)
    # The squares are those of whole pixels, but for the bend of parallels.
    rate = forecast["precipitation_rate"].isel(y=[2, 3], x=[4, 5]).mean(("y", "x"))
    expected = (rate.rolling(lead_time=4).sum() / 4 >= 1.0).mean("member").isel(lead_time=slice(3, None))
    np.testing.assert_allclose(probability.sel(area="Aa").isel(lead_time=slice(3, None)), expected)


def test_a_geopackage_says_its_projection_itself(forecast: xr.Dataset, tmp_path: Path) -> None:
    shapes = np.array(
        [shapely.box(-3500.0, -1000.0, -1500.0, 1000.0), shapely.box(500.0, -1000.0, 2500.0, 1000.0)]
    )
    pyogrio.raw.write(
        tmp_path / "catchments.gpkg",
        shapely.to_wkb(shapes),
        [np.array(["Dommel", "Aa"], object)],
        ["name"],
        geometry_type="Polygon",
        crs=own_crs(forecast).to_wkt(),
    )
    found = forecast.ssldm.over(tmp_path / "catchments.gpkg")
    assert found["area"].values.tolist() == ["Dommel", "Aa"]
    expected = forecast.ssldm.over(catchments(forecast))
    np.testing.assert_allclose(
        found["precipitation_rate"], expected["precipitation_rate"], atol=1e-3, rtol=1e-3
    )


def test_names_are_those_asked_for_or_numbers(forecast: xr.Dataset) -> None:
    content = catchments(forecast)
    assert forecast.ssldm.over(content, names="code")["area"].values.tolist() == ["6", "2"]
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in content["features"]]
    assert forecast.ssldm.over(shapes)["area"].values.tolist() == ["1", "2"]
    np.testing.assert_array_equal(
        forecast.ssldm.over(shapes)["precipitation_rate"], forecast.ssldm.over(content)["precipitation_rate"]
    )


def test_lazy_nowcasts_stay_lazy(forecast: xr.Dataset) -> None:
    lazy = forecast.chunk({"member": 1, "y": 3})
    content = catchments(forecast)
    found = lazy.ssldm.over(content)
    assert found["precipitation_rate"].chunks
    xr.testing.assert_allclose(found.compute(), forecast.ssldm.over(content))
    assert lazy.ssldm.at(x=0.0, y=0.0)["precipitation_rate"].chunks


def test_what_cannot_be_asked_is_refused_in_words(forecast: xr.Dataset, tmp_path: Path) -> None:
    def refused(said: str, kind: type[Exception] = ConfigurationError) -> object:
        return pytest.raises(kind, match=said)

    with refused("lat and lon, or x and y"):
        forecast.ssldm.at()
    with refused("lat and lon, or x and y"):
        forecast.ssldm.at(lat=52.0, lon=5.0, x=0.0, y=0.0)
    with refused("as many finite numbers"):
        forecast.ssldm.at(x=[1.0, 2.0], y=[1.0])
    with refused("numbers"):
        forecast.ssldm.at(lat=52.0)
    with refused("latitudes from -90 to 90"):
        forecast.ssldm.at(lat=152.0, lon=5.0)
    with refused("within x -3500 to 3500, y -3000 to 3000 m, found x=3600, y=0 m"):
        forecast.ssldm.at(x=3600.0, y=0.0)
    with refused("found none at"):
        forecast.ssldm.over(tmp_path / "none.geojson")
    broken = tmp_path / "broken.geojson"
    broken.write_text("{")
    with refused("expected GeoJSON"):
        forecast.ssldm.over(broken)
    with refused("expected polygons, found 'LineString'"):
        forecast.ssldm.over(shapely.LineString([(0, 0), (1, 1)]))
    with refused("a property 'river' of polygons, found code, id, name"):
        forecast.ssldm.over(catchments(forecast), names="river")
    with refused("a map projection"):
        forecast.ssldm.over(catchments(forecast), crs="nowhere")
    nameless = forecast.drop_vars("crs")
    with refused("a nowcast with a map projection", ObservationError):
        nameless.ssldm.at(lat=52.0, lon=5.0)
    with refused("expected a nowcast with y and x", ObservationError):
        forecast.isel(y=0, x=0).ssldm.over(catchments(forecast))
