"""KNMI and ODIM: the projection, corner and size of pixels that the file states, or the file is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from pyproj import CRS, Proj, Transformer
from radar_files import change_attributes, write_knmi, write_odim

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import text
from ssldm.radar.open import open_radar

TIME = "2010-08-26T03:00"


def test_a_projection_in_kilometres_is_the_same_however_it_says_so(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, TIME, np.zeros((4, 4)))
    expected = open_radar(path)
    change_attributes(
        path,
        "geographic/map_projection",
        projection_proj4_params="+proj=stere +lat_0=90 +lon_0=0.0 +lat_ts=60.0 +a=6378137 +b=6356752 "
        "+x_0=0 +y_0=0 +units=km",
    )
    same = open_radar(path)
    np.testing.assert_array_equal(same["y"], expected["y"])
    for data in (expected, same):
        assert CRS.from_wkt(data["crs"].attrs["crs_wkt"]).ellipsoid.semi_major_metre == 6378137.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"xscale": 1000.0}, "expected the upper right corner at"),
        ({"yscale": -2000.0}, "expected a positive where/yscale, found -2000"),
        ({"xsize": 3, "ysize": 2}, "expected the size that where/xsize gives, 3, found 3×2"),
    ],
)
def test_a_place_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((3, 2)))
    whole = open_radar(path)
    with h5py.File(path) as file:
        project = Proj(file["where"].attrs["projdef"])
    lon, lat = project(float(whole["x"][-1]) + 1000.0, float(whole["y"][0]) + 1000.0, inverse=True)
    change_attributes(path, "where", UR_lon=lon, UR_lat=lat)
    np.testing.assert_array_equal(open_radar(path)["x"], whole["x"])
    change_attributes(path, "where", **changes)
    with pytest.raises(ObservationError, match=said):
        open_radar(path)


ROTATED = "+proj=ob_tran +o_proj=longlat +o_lat_p=40 +lon_0=10 +R=6371229"


@pytest.mark.parametrize(
    ("projection", "found"),
    [
        (ROTATED, "a rotated grid"),
        (f"{ROTATED} +towgs84=0,0,0", "a rotated grid"),
        ("+proj=geocent +ellps=WGS84", "Geocentric CRS"),
        ("+proj=nonsense", "expected a projection, found '.proj=nonsense'"),
    ],
)
def test_coordinates_that_are_no_map_and_no_latitudes_are_refused_in_every_hdf5(
    tmp_path: Path, projection: str, found: str
) -> None:
    odim = write_odim(tmp_path, "20180824181500", np.zeros((3, 2)))
    change_attributes(odim, "where", projdef=projection)
    knmi = write_knmi(tmp_path, TIME, np.zeros((3, 2)))
    change_attributes(knmi, "geographic/map_projection", projection_proj4_params=projection)
    for path in (odim, knmi):
        with pytest.raises(ObservationError, match=found):
            open_radar(path)


def test_odim_pixels_in_other_units_than_metres_are_refused(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((3, 2)))
    change_attributes(path, "where", projdef="+proj=laea +lat_0=55 +lon_0=10 +units=us-ft")
    with pytest.raises(ObservationError, match="in metres or kilometres"):
        open_radar(path)


@pytest.mark.parametrize("unit", ["+units=km", "+to_meter=1000"])
def test_odim_pixels_in_kilometres_of_the_projection_are_those_in_metres(tmp_path: Path, unit: str) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((3, 2)))
    expected = open_radar(path)
    with h5py.File(path) as file:
        projection = text(file["where"].attrs["projdef"])
    for size in (2.0, 2000.0):
        change_attributes(path, "where", projdef=f"{projection} {unit}", xscale=size, yscale=size)
        found = open_radar(path)
        for axis in "xy":
            np.testing.assert_allclose(found[axis], expected[axis], atol=0.01)


@pytest.mark.parametrize(
    "changes", [{"xscale": 2.0}, {"yscale": 0.0}, {"xscale": np.nan}, {"yscale": np.inf}]
)
def test_odim_pixels_too_small_for_any_radar_or_of_no_size_are_refused(
    tmp_path: Path, changes: dict[str, float]
) -> None:
    path = change_attributes(write_odim(tmp_path, "20180824181500", np.zeros((3, 2))), "where", **changes)
    with pytest.raises(ObservationError, match=f"where/{next(iter(changes))}"):
        open_radar(path)


@pytest.mark.parametrize("corner", [{"LL_lat": np.nan}, {"LL_lat": 95.0}, {"LL_lon": np.inf}])
def test_odim_corners_that_are_nowhere_on_earth_are_refused(tmp_path: Path, corner: dict[str, float]) -> None:
    path = change_attributes(write_odim(tmp_path, "20180824181500", np.zeros((3, 2))), "where", **corner)
    with pytest.raises(ObservationError, match="as where/LL_lat and LL_lon, found"):
        open_radar(path)


@pytest.mark.parametrize("turn", [0.0, -360.0])
def test_odim_on_latitudes_and_longitudes_lies_where_its_corners_say(tmp_path: Path, turn: float) -> None:
    """Whether the eastern corner is told as degrees east or, all around the earth, west."""
    path = write_odim(tmp_path, "20180824181500", np.zeros((4, 3)))
    degrees = {"projdef": "+proj=longlat +ellps=WGS84", "xscale": 0.02, "yscale": 0.01}
    corners = {"LL_lon": -0.04, "LL_lat": 50.0, "UR_lon": 0.02 + turn, "UR_lat": 50.04}
    found = open_radar(change_attributes(path, "where", **degrees, **corners))
    to_degrees = Transformer.from_crs(
        CRS.from_wkt(found["crs"].attrs["crs_wkt"]), "EPSG:4326", always_xy=True
    )
    for row, column in ((0, 0), (3, 2), (0, 2)):
        there = to_degrees.transform(float(found["x"][column]), float(found["y"][row]))
        expected = -0.04 + 0.02 * (column + 0.5), 50.04 - 0.01 * (row + 0.5)
        np.testing.assert_allclose(there, expected, atol=2e-5)
    change_attributes(path, "where", UR_lon=0.07 + turn)
    with pytest.raises(ObservationError, match="expected the upper right corner"):
        open_radar(path)


@pytest.mark.parametrize("units", ["M,M", "m,m", "M, M"])
def test_lengths_of_knmi_are_metres_however_written(tmp_path: Path, units: str) -> None:
    path = write_knmi(tmp_path, TIME, np.zeros((4, 3)))
    expected = open_radar(path)
    metres = {"geo_pixel_size_x": 1000.0, "geo_pixel_size_y": -1000.0}
    found = open_radar(change_attributes(path, "geographic", geo_dim_pixel=units, **metres))
    for axis in "xy":
        np.testing.assert_array_equal(found[axis], expected[axis])


def test_offsets_of_knmi_are_pixels_from_the_pole_to_the_upper_left_corner(tmp_path: Path) -> None:
    path = change_attributes(
        write_knmi(tmp_path, TIME, np.zeros((4, 3))),
        "geographic",
        geo_column_offset=10.0,
        geo_row_offset=1800.0,
        geo_pixel_size_x=2.0,
        geo_pixel_size_y=-2.5,
    )
    found = open_radar(path)
    np.testing.assert_allclose(found["x"], 20e3 + 2e3 * (np.arange(3) + 0.5))
    np.testing.assert_allclose(found["y"], -4500e3 - 2.5e3 * (np.arange(4) + 0.5))


@pytest.mark.parametrize(
    "changes",
    [{"geo_dim_pixel": "DEG,DEG"}, {"geo_dim_pixel": "KM,M"},
     {"geo_number_rows": 5}, {"geo_number_columns": 5},
     {"geo_pixel_size_x": 0.0}, {"geo_pixel_size_y": np.nan}, {"geo_row_offset": np.inf},
     {"geo_pixel_size_x": 0.001}],
)  # fmt: skip
def test_places_of_knmi_that_cannot_be_are_refused_by_the_attribute(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = write_knmi(tmp_path, TIME, np.zeros((4, 3)))
    change_attributes(path, "geographic", **changes)
    with pytest.raises(ObservationError, match=f"geographic/{next(iter(changes))}"):
        open_radar(path)
