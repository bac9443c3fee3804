"""Grids of xarray objects: made right, or refused."""

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS, Transformer

from ssldm.errors import NotGeoreferenced, ObservationError
from ssldm.radar.observations import pixel_size
from ssldm.radar.open import open_radar

SHAPE = (5, 6)
Y, X = 5_001_500.0 - 1000.0 * np.arange(5), 400_500.0 + 1000.0 * np.arange(6)
UTM = CRS.from_epsg(32632).to_wkt()
METRES = {"units": "m"}


def rain(y: object, x: object, crs: dict[str, str] | None = None, **others: object) -> xr.Dataset:
    """Rain of one pixel, in the second row and third column."""
    rate = np.zeros((1, *SHAPE), np.float32)
    rate[0, 1, 2] = 7.0
    coords = {"time": [np.datetime64("2020-01-01", "ns")]}
    coords |= {name: values for name, values in (("y", y), ("x", x)) if values is not None}  # type: ignore[misc]
    data = xr.Dataset({"rain_rate": (("time", "y", "x"), rate, {"units": "mm h-1"})}, coords=coords | others)  # type: ignore[arg-type]
    if crs is not None:
        data["proj"] = ((), 0, crs)
        data["rain_rate"].attrs["grid_mapping"] = "proj"
    return data


def place(data: xr.DataArray) -> tuple[float, float]:
    """Longitude and latitude of the wet pixel."""
    ((_, row, column),) = np.argwhere(data.values == 7.0)
    there = Transformer.from_crs(CRS.from_wkt(data["crs"].attrs["crs_wkt"]), "EPSG:4326", always_xy=True)
    lon, lat = there.transform(float(data["x"][column]), float(data["y"][row]))
    return lon, lat


HERE = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(X[2], Y[1])


@pytest.mark.parametrize(
    "wrong",
    [
        np.where(np.arange(5) == 2, np.nan, Y),
        Y[[0, 2, 1, 3, 4]],
        Y[0] - 1000.0 * np.arange(5) * (1.0 + 0.02 * np.arange(5)),
        np.delete(np.append(Y, Y[-1] - 1000.0), 2),
        np.full(5, Y[0]),
        np.where(np.arange(5) == 4, np.inf, Y),
    ],
    ids=["unknown", "unsorted", "stretched", "gapped", "all alike", "infinite"],
)
@pytest.mark.parametrize("with_crs", [True, False])
def test_positions_that_are_not_evenly_spaced_are_refused(wrong: np.ndarray, with_crs: bool) -> None:
    data = rain(("y", wrong, METRES), ("x", X, METRES), {"crs_wkt": UTM} if with_crs else None)
    with pytest.raises(ObservationError, match="'y'"):
        open_radar(data)


def test_single_precision_is_even_enough() -> None:
    data = rain(("y", Y.astype(np.float32), METRES), ("x", X.astype(np.float32), METRES), {"crs_wkt": UTM})
    assert place(open_radar(data)) == pytest.approx(HERE, abs=1e-5)


@pytest.mark.parametrize("units", ["m", "km", None])
def test_the_place_does_not_depend_on_units_of_length(units: str | None) -> None:
    factor = 1000.0 if units == "km" else 1.0
    attributes = {} if units is None else {"units": units}
    data = rain(("y", Y / factor, attributes), ("x", X / factor, attributes), {"crs_wkt": UTM})
    assert place(open_radar(data)) == pytest.approx(HERE, abs=1e-6)


def test_the_place_does_not_depend_on_the_units_of_the_projection() -> None:
    kilometres = CRS.from_proj4("+proj=utm +zone=32 +datum=WGS84 +units=km").to_wkt()
    data = rain(("y", Y / 1e3, {"units": "km"}), ("x", X / 1e3, {"units": "km"}), {"crs_wkt": kilometres})
    assert place(open_radar(data)) == pytest.approx(HERE, abs=1e-6)
    for axis in "yx":
        del data[axis].attrs["units"]  # those of the projection
    assert place(open_radar(data)) == pytest.approx(HERE, abs=1e-6)


def test_kilometres_without_units_beside_a_projection_are_refused() -> None:
    with pytest.raises(ObservationError, match=r"expected units of 'y' \(m or km\)"):
        open_radar(rain(("y", Y / 1e3), ("x", X / 1e3), {"crs_wkt": UTM}))


@pytest.mark.parametrize("name", ["spatial_ref", "crs_wkt"])
def test_the_only_projection_counts_where_none_is_named(name: str) -> None:
    data = rain(("y", Y, METRES), ("x", X, METRES)).assign_coords(spatial_ref=((), 0, {name: UTM}))
    assert place(open_radar(data)) == pytest.approx(HERE, abs=1e-6)
    data["other"] = ((), 0, {"crs_wkt": CRS.from_epsg(3035).to_wkt()})
    with pytest.raises(ObservationError, match="grid mapping"):
        open_radar(data)


def test_a_named_projection_that_is_missing_is_told() -> None:
    data = rain(("y", Y, METRES), ("x", X, METRES), {"crs_wkt": UTM}).drop_vars("proj")
    with pytest.warns(NotGeoreferenced, match="'proj'"):
        assert "crs" not in open_radar(data).coords


def test_degrees_beside_a_geographic_projection_are_degrees() -> None:
    lat, lon = 50.0 - 0.01 * np.arange(5), 8.0 + 0.01 * np.arange(6)
    data = rain(("y", lat), ("x", lon)).assign_coords(spatial_ref=((), 0, {"crs_wkt": CRS(4326).to_wkt()}))
    assert place(open_radar(data)) == pytest.approx((lon[2], lat[1]), abs=1e-6)
    with pytest.raises(ObservationError, match="degrees"):
        open_radar(data.assign_coords(y=("y", lat, METRES)))


@pytest.mark.parametrize("plural", ["degree", "degrees", "Degrees"])
@pytest.mark.parametrize("north", ["_north", "_N", "N", " north", ""])
def test_degrees_may_be_written_in_every_way_of_cf(plural: str, north: str) -> None:
    lat, lon = 50.0 - 0.01 * np.arange(5), 8.0 + 0.01 * np.arange(6)
    east = north.replace("north", "east").replace("N", "E")
    data = rain(None, None).rename(y="lat", x="lon")
    data = data.assign_coords(
        lat=("lat", lat, {"units": f"{plural}{north}"}), lon=("lon", lon, {"units": f"{plural}{east}"})
    )
    assert place(open_radar(data)) == pytest.approx((lon[2], lat[1]), abs=1e-6)


@pytest.mark.parametrize("first", [179.97, 359.97, -0.03, -180.03, 8.0])
@pytest.mark.parametrize("turns", ["0 to 360", "-180 to 180", "as they come"])
def test_longitudes_may_cross_0_and_180(first: float, turns: str) -> None:
    lat, straight = 50.0 - 0.01 * np.arange(5), first + 0.01 * np.arange(6)
    lon = {"0 to 360": straight % 360.0, "-180 to 180": (straight + 180.0) % 360.0 - 180.0}.get(
        turns, straight
    )
    data = rain(None, None).rename(y="lat", x="lon").assign_coords(lat=lat, lon=lon)
    found = place(open_radar(data))
    assert (found[0] - straight[2] + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-6)
    assert found[1] == pytest.approx(lat[1], abs=1e-6)


@pytest.mark.parametrize("indexed", [True, False])
def test_latitudes_and_longitudes_of_every_pixel_stand_in_for_axes(indexed: bool) -> None:
    lon, lat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(*np.meshgrid(X, Y))
    index = (np.arange(5), np.arange(6)) if indexed else (None, None)
    positions = {"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)}
    assert place(open_radar(rain(*index, {"crs_wkt": UTM}, **positions))) == pytest.approx(HERE, abs=1e-6)
    rows, columns = np.meshgrid(np.arange(5), np.arange(6), indexing="ij")
    turned = {
        "lat": (("y", "x"), 50.0 - 0.01 * (rows + columns)),
        "lon": (("y", "x"), 8.0 + 0.01 * (columns - rows)),
    }
    with pytest.raises(ObservationError, match="one latitude"):
        open_radar(rain(*index, **turned))
    lon, lat = np.meshgrid(8.0 + 0.01 * np.arange(6), 50.0 - 0.01 * np.arange(5))
    straight = {"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)}
    assert place(open_radar(rain(*index, **straight))) == pytest.approx((lon[1, 2], lat[1, 2]), abs=1e-6)


@pytest.mark.parametrize(("slant", "lines"), [((0.0, 0.4), "rows"), ((0.4, 0.0), "columns")])
def test_latitudes_and_longitudes_off_the_grid_of_the_projection_are_refused(
    slant: tuple[float, float], lines: str
) -> None:
    """Rows that run north, or columns that run east, by some pixels from end to end."""
    east, north = np.meshgrid(X, Y)
    slanted = east + slant[0] * (Y[0] - north), north + slant[1] * (east - X[0])
    lon, lat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(*slanted)
    data = rain(None, None, {"crs_wkt": UTM}, lat=(("y", "x"), lat), lon=(("y", "x"), lon))
    with pytest.raises(ObservationError, match=f"{lines} lie on the grid of the projection"):
        open_radar(data)


@pytest.mark.parametrize("missing", ["y", "x"])
def test_one_axis_alone_is_no_place(missing: str) -> None:
    axes = {"y": ("y", Y, METRES), "x": ("x", X, METRES)} | {missing: None}
    with pytest.raises(ObservationError, match="expected coordinates for the dimensions 'y' and 'x'"):
        open_radar(rain(axes["y"], axes["x"], {"crs_wkt": UTM}))


def test_latitudes_beyond_the_poles_are_refused() -> None:
    data = rain(None, None).rename(y="lat", x="lon")
    with pytest.raises(ObservationError, match="-90 to 90"):
        open_radar(data.assign_coords(lat=95.0 - np.arange(5), lon=np.arange(6.0)))


@pytest.mark.parametrize(
    ("y", "x", "metres"),
    [([0.0], [0.0, 500.0], 500.0), ([3000.0, 0.0], [0.0, 1000.0], 2000.0), ([0.0], [0.0], 1000.0)],
)
def test_an_axis_of_one_pixel_tells_nothing_of_its_size(
    y: list[float], x: list[float], metres: float
) -> None:
    assert pixel_size(xr.DataArray(np.zeros((len(y), len(x))), {"y": y, "x": x}, ("y", "x"))) == metres
