"""GeoTIFF: what the file says of quantity, unit, codes, scale, time and place is taken; nothing guessed."""

from pathlib import Path

import numpy as np
import pytest
from pyproj import CRS, Transformer
from radar_files import write_fmi_geotiff, write_geotiff
from rasterio.transform import Affine, from_origin

from ssldm.errors import ObservationError
from ssldm.radar.open import open_radar
from ssldm.radar.units import ZRRelation

RATES = np.array([[0.0, 1.5, 20.0], [np.nan, 0.25, 3.0]], np.float32)
NAME = "rate_202401011200.tif"


def zr(dbz: float, a: float = 200.0, b: float = 1.6) -> float:
    return float(ZRRelation(a=a, b=b).rain_rate(np.array(dbz)))


def refused(path: Path, match: str) -> None:
    with pytest.raises(ObservationError, match=match):
        open_radar(path)


def test_rates_with_a_stated_unit_are_what_was_written(tmp_path: Path) -> None:
    data = open_radar(write_geotiff(tmp_path, NAME, RATES, unit="mm/h"))
    np.testing.assert_array_equal(data.values[0], RATES)
    np.testing.assert_allclose(data["x"], [1000.0, 3000.0, 5000.0])
    np.testing.assert_allclose(data["y"], [-1000.0, -3000.0])
    assert str(data["time"].values[0])[:16] == "2024-01-01T12:00"
    assert CRS.from_wkt(data["crs"].attrs["crs_wkt"]).to_dict()["proj"] == "laea"


@pytest.mark.parametrize("where", ["band unit", "band tag", "file tag"])
def test_the_unit_may_stand_with_the_band_or_the_file(tmp_path: Path, where: str) -> None:
    said = {"band unit": {"unit": "kg m-2 s-1"}, "band tag": {"band_tags": {"units": "kg m-2 s-1"}}}
    path = write_geotiff(
        tmp_path, NAME, RATES / 3600.0, **said.get(where, {"tags": {"precip#units": "kg m-2 s-1"}})
    )
    np.testing.assert_allclose(open_radar(path).values[0], RATES, rtol=1e-6)


def test_opera_composites_name_quantity_codes_and_quality(tmp_path: Path) -> None:
    """As EUMETNET publishes them: two bands, NaN is dry, the fill value is unobserved."""
    values = np.array([[np.nan, 2.5], [-9999000.0, 0.5]], np.float32)
    path = write_geotiff(
        tmp_path,
        "OPERA@20260810T0000@0@RATE.tiff",
        np.stack([values, np.ones_like(values)]),
        description="RATE",
        tags={
            "prodname": "OPERA NIMBUS instantaneous rain rate composite",
            "date": "20260810",
            "time": "000000",
        },
        band_tags={"undetect": "nan", "_FillValue": "-9.999e+06", "zr_a": "200.0", "zr_b": "1.6"},
        nodata=-9999000.0,
    )
    data = open_radar(path)
    np.testing.assert_array_equal(data.values[0], [[0.0, 2.5], [np.nan, 0.5]])
    assert data.attrs["product"] == "OPERA NIMBUS instantaneous rain rate composite"
    assert data["time"].values[0] == np.datetime64("2026-08-10")


@pytest.mark.parametrize("where", ["band", "tags", "odim tags"])
def test_reflectivity_follows_scale_offset_and_codes_in_the_file(tmp_path: Path, where: str) -> None:
    codes = np.array([[0, 100, 255]], np.uint8)
    names = {"tags": ("scale_factor", "add_offset"), "odim tags": ("gain", "offset")}.get(where)
    tags = {"undetect": 0} | (dict(zip(names, (0.25, 5.0), strict=True)) if names else {})
    scaling = (1.0, 0.0) if names else (0.25, 5.0)
    path = write_geotiff(tmp_path, NAME, codes, unit="dBZ", nodata=255, band_tags=tags, scaling=scaling)
    data = open_radar(path)
    np.testing.assert_allclose(data.values[0, 0], [0.0, zr(30.0), np.nan], rtol=1e-6)
    assert (data.attrs["zr_a"], data.attrs["zr_b"]) == (200.0, 1.6)
    other = open_radar(path, zr=(300.0, 1.4))
    np.testing.assert_allclose(other.values[0, 0, 1], zr(30.0, 300.0, 1.4), rtol=1e-6)


def test_the_relation_that_a_file_states_is_taken_unless_another_is_asked_for(tmp_path: Path) -> None:
    path = write_geotiff(
        tmp_path, NAME, np.full((2, 2), 30.0, np.float32), unit="dBZ", tags={"zr_a": 316, "zr_b": 1.5}
    )
    np.testing.assert_allclose(open_radar(path).values, zr(30.0, 316.0, 1.5), rtol=1e-6)
    np.testing.assert_allclose(open_radar(path, zr=(200.0, 1.6)).values, zr(30.0), rtol=1e-6)


def test_two_scales_that_differ_are_refused(tmp_path: Path) -> None:
    path = write_geotiff(
        tmp_path, NAME, np.ones((2, 2), np.uint8), unit="mm/h", scaling=(0.5, 0.0), tags={"gain": 0.1}
    )
    refused(path, r"expected one scale and offset, found \(0\.5, 0\.0\) of the band and \(0\.1, 0\.0\)")


def test_a_code_that_is_both_nodata_and_undetect_is_refused_where_it_occurs(tmp_path: Path) -> None:
    said = {"unit": "mm/h", "nodata": 255, "band_tags": {"undetect": 255}}
    refused(write_geotiff(tmp_path, NAME, np.array([[1, 255]], np.uint8), **said), "found 255 for both")
    assert open_radar(write_geotiff(tmp_path, NAME, np.array([[1, 2]], np.uint8), **said)).notnull().all()


def test_amounts_need_their_period_and_become_rates_by_it(tmp_path: Path) -> None:
    amounts = np.full((2, 2), 2.0, np.float32)
    refused(write_geotiff(tmp_path, NAME, amounts, unit="mm"), "expected one period for all amounts")
    period = {"startdate": "20240101", "starttime": "114500", "enddate": "20240101", "endtime": "120000"}
    data = open_radar(write_geotiff(tmp_path, NAME, amounts, unit="mm", tags=period))
    np.testing.assert_allclose(data.values, 8.0)
    assert data.attrs["accumulation_minutes"] == 15.0


@pytest.mark.parametrize("unit", ["", "dBZ", "%"])
def test_what_is_not_said_to_be_rain_is_refused(tmp_path: Path, unit: str) -> None:
    """Whatever its name: eight bits and twelve digits do not make reflectivity of an image."""
    codes = np.array([[0, 100, 255]], np.uint8)
    path = write_geotiff(tmp_path, "202401011200_landuse.tif", codes, unit=unit or None)
    if unit == "dBZ":
        np.testing.assert_allclose(open_radar(path, max_rate=1e9).values[0, 0, 1], zr(100.0), rtol=1e-5)
    else:
        refused(path, "expected the unit of the band" if not unit else "expected units")


def test_another_quantity_is_refused_by_its_name(tmp_path: Path) -> None:
    snow = write_geotiff(tmp_path, NAME, RATES, unit="mm/h", band_tags={"standard_name": "lwe_snowfall_rate"})
    refused(snow, "found lwe_snowfall_rate")
    velocity = write_geotiff(tmp_path, NAME, RATES, description="VRAD")
    refused(velocity, "found VRAD")


def test_several_bands_are_refused_unless_one_is_rain(tmp_path: Path) -> None:
    bands = np.stack([RATES, RATES])
    refused(write_geotiff(tmp_path, NAME, bands, tags={"units": "mm/h"}), "expected one band of rain")
    np.testing.assert_array_equal(
        open_radar(write_geotiff(tmp_path, NAME, bands, unit="mm/h")).values[0], RATES
    )


TIMES = {
    "tag of the band": {"band_tags": {"time": "2024-01-01T13:00:00+01:00"}},
    "tag of the file": {"tags": {"Observation time": "202401011200"}},
    "date and time": {"tags": {"date": "20240101", "time": "1200"}},
    "valid time of GRIB": {"band_tags": {"GRIB_VALID_TIME": "1704110400"}},
    "date and time by ISO": {"tags": {"date": "2024-01-01", "time": "12:00"}},
    "date with slashes": {"tags": {"date": "2024/01/01", "time": "12:00:00Z"}},
    "date and time with a zone": {"tags": {"date": "2024-01-01", "time": "14:00+02:00"}},
    "time of NetCDF by GDAL": {
        "tags": {"time#units": "hours since 2023-12-31", "rain#units": "mm/h"},
        "band_tags": {"NETCDF_DIM_time": "36", "NETCDF_VARNAME": "rain"},
    },
    "date of TIFF": {"tags": {"TIFFTAG_DATETIME": "2024:01:01 12:00:00"}},
}


@pytest.mark.parametrize("said", list(TIMES))
def test_times_stand_in_tags(tmp_path: Path, said: str) -> None:
    path = write_geotiff(tmp_path, "rain.tif", RATES, unit="mm/h", **TIMES[said])
    assert open_radar(path)["time"].values[0] == np.datetime64("2024-01-01T12:00")


@pytest.mark.parametrize(
    "name",
    ["202401011200.tif", "rr_20240101T1200Z.tif", "rr_20240101-120000_v2.tif", "2024-01-01_12-00_x.tif",
     "r_2024-01-01T12:00:00Z.tif", "composite.20240101.1200.tif", "r_20240101T130000+0100.tif",
     "r_2024-01-01T17:45+05:45.tif", "r_20240101T1300+01_x.tif", "r_20240101T1200Z+15.tif"],
)  # fmt: skip
def test_times_stand_in_names(tmp_path: Path, name: str) -> None:
    # When the image was made is not when its rain fell.
    path = write_geotiff(tmp_path, name, RATES, unit="mm/h", tags={"TIFFTAG_DATETIME": "2024:01:01 12:07:31"})
    assert open_radar(path)["time"].values[0] == np.datetime64("2024-01-01T12:00")


@pytest.mark.parametrize("stamp", ["20240101T120000-0500", "20240101T1200-1230"])
def test_a_name_whose_time_may_have_a_zone_or_an_end_is_refused(tmp_path: Path, stamp: str) -> None:
    refused(write_geotiff(tmp_path, f"rain_{stamp}.tif", RATES, unit="mm/h"), f"in one way, found {stamp}")


def test_units_of_coordinates_are_not_those_of_the_band(tmp_path: Path) -> None:
    tags = {"rain#units": "mm/h", "time#units": "hours since 2024-01-01", "x#units": "m"}
    data = open_radar(write_geotiff(tmp_path, NAME, RATES, tags=tags))
    np.testing.assert_array_equal(data.values[0], RATES)


def test_a_name_with_two_times_or_none_is_refused(tmp_path: Path) -> None:
    refused(write_geotiff(tmp_path, "202401011200_202401011205.tif", RATES, unit="mm/h"), "expected one time")
    refused(write_geotiff(tmp_path, "rain_20240101.tif", RATES, unit="mm/h"), "expected a time in the tags")
    refused(
        write_geotiff(tmp_path, "rain_202413011200.tif", RATES, unit="mm/h"), "expected a time in the tags"
    )


def test_degrees_become_metres_of_the_place_that_they_name(tmp_path: Path) -> None:
    path = write_geotiff(
        tmp_path, NAME, RATES, unit="mm/h", crs="EPSG:4326", transform=from_origin(8.0, 50.0, 0.01, 0.01)
    )
    data = open_radar(path)
    to_degrees = Transformer.from_crs(CRS.from_wkt(data["crs"].attrs["crs_wkt"]), "EPSG:4326", always_xy=True)
    corner = to_degrees.transform(float(data["x"][-1]), float(data["y"][-1]))
    np.testing.assert_allclose(corner, (8.025, 49.985), atol=1e-6)
    assert 600.0 < float(data["x"][1] - data["x"][0]) < 1200.0


def test_rows_from_south_and_columns_from_east_are_turned_with_their_codes(tmp_path: Path) -> None:
    values = np.array([[1.0, -1.0, -2.0], [4.0, 5.0, 6.0]], np.float32)
    path = write_geotiff(
        tmp_path,
        NAME,
        values,
        unit="mm/h",
        nodata=-2.0,
        band_tags={"undetect": -1.0},
        transform=Affine(-2000.0, 0.0, 6000.0, 0.0, 2000.0, 0.0),
    )
    data = open_radar(path)
    np.testing.assert_array_equal(data.values[0], [[6.0, 5.0, 4.0], [np.nan, 0.0, 1.0]])
    np.testing.assert_allclose(data["x"], [1000.0, 3000.0, 5000.0])
    np.testing.assert_allclose(data["y"], [3000.0, 1000.0])


def test_images_that_are_turned_or_nowhere_or_in_other_lengths_are_refused(tmp_path: Path) -> None:
    turned = Affine.rotation(10.0) @ from_origin(0.0, 0.0, 2000.0, 2000.0)
    refused(write_geotiff(tmp_path, NAME, RATES, unit="mm/h", transform=turned), "found a turned image")
    refused(write_geotiff(tmp_path, NAME, RATES, unit="mm/h", crs=None), "without projection or place")
    in_feet = "+proj=utm +zone=15 +datum=NAD83 +units=us-ft"
    refused(write_geotiff(tmp_path, NAME, RATES, unit="mm/h", crs=in_feet), "expected a projection in metres")


@pytest.mark.parametrize("shear", [Affine(2000, 300, 0, 0, -2000, 0), Affine(2000, 0, 0, 300, -2000, 0)])
def test_images_whose_rows_or_columns_are_slanted_are_refused(tmp_path: Path, shear: Affine) -> None:
    refused(write_geotiff(tmp_path, NAME, RATES, unit="mm/h", transform=shear), "found a turned image")


def test_what_the_mask_of_an_image_hides_is_unobserved(tmp_path: Path) -> None:
    import rasterio

    path = write_geotiff(tmp_path, NAME, np.ones((2, 3), np.float32), unit="mm/h")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.array([[255, 0, 255], [255, 255, 0]], np.uint8))
    np.testing.assert_array_equal(open_radar(path).values[0], [[1.0, np.nan, 1.0], [1.0, 1.0, np.nan]])


def test_a_large_offset_loses_nothing_of_double_precision(tmp_path: Path) -> None:
    stored = 1e9 + np.array([[0.0, 1.5, 20.25]])
    path = write_geotiff(tmp_path, NAME, stored, unit="mm/h", scaling=(1.0, -1e9))
    np.testing.assert_allclose(open_radar(path).values[0, 0], [0.0, 1.5, 20.25], rtol=1e-6)


def test_a_relation_that_is_asked_for_counts_for_finnish_images_too(tmp_path: Path) -> None:
    path = write_fmi_geotiff(tmp_path, "201609281445", np.array([[124]]))
    data = open_radar(path, zr=ZRRelation(a=300.0, b=1.4))
    np.testing.assert_allclose(data.values[0, 0, 0], zr(30.0, 300.0, 1.4), rtol=1e-6)


def test_a_period_without_a_unit_and_a_calendar_of_no_one_are_refused(tmp_path: Path) -> None:
    refused(
        write_geotiff(tmp_path, NAME, RATES, unit="mm", tags={"accumulation time": "5"}), "expected .*period"
    )
    tags = {"time#units": "days since 2023-12-31", "time#calendar": "360_day"}
    band = {"NETCDF_DIM_time": "61"}
    refused(
        write_geotiff(tmp_path, "rain.tif", RATES, unit="mm/h", tags=tags, band_tags=band),
        "NETCDF_DIM_time",
    )


def test_fmi_images_follow_what_they_state(tmp_path: Path) -> None:
    path = write_fmi_geotiff(tmp_path, "201609281445", np.array([[0, 1, 40, 255]]))
    import rasterio

    metadata = (
        '<GDALMetadata>\n<Item name="Observation time" format="YYYYMMDDhhmm">201609281450</Item>\n'
        '<Item name="Quantity" unit="dBZ">Corrected reflectivity</Item>\n<Item name="Gain">1.000000</Item>\n'
        '<Item name="Offset">-10.000000</Item>\n<Item name="Nodata">1</Item>\n'
        '<Item name="Undetect">0</Item>\n'
        "</GDALMetadata>\n"
    )
    with rasterio.open(path, "r+") as file:
        file.update_tags(GDAL_METADATA=metadata)
    data = open_radar(path, max_rate=1e30)
    expected = [0.0, np.nan, zr(30.0, 223.0, 1.53), zr(245.0, 223.0, 1.53)]
    np.testing.assert_allclose(data.values[0, 0], expected, rtol=1e-5)
    assert data["time"].values[0] == np.datetime64("2016-09-28T14:50")
    assert data.attrs["product"] == "FMI lowest-level reflectivity composite"


def test_only_images_with_the_name_and_the_projection_of_fmi_are_taken_for_theirs(tmp_path: Path) -> None:
    path = write_fmi_geotiff(tmp_path, "201609281445", np.array([[0, 255, 124]]))
    refused(path.rename(tmp_path / "201609281445_other.tif"), "expected the unit of the band")
    codes = np.array([[0, 124]], np.uint8)
    elsewhere = write_geotiff(tmp_path, "201609281445_FINUTM.tif", codes, crs="EPSG:4326")
    refused(elsewhere, "expected the unit of the band")
    with pytest.raises(ObservationError, match="in EPSG:3067"):
        open_radar(elsewhere, format="fmi_geotiff")


@pytest.mark.parametrize(
    ("crs", "found"),
    [
        ("+proj=ob_tran +o_proj=longlat +o_lat_p=40 +lon_0=10 +R=6371229", "a rotated grid"),
        ("EPSG:4978", "Geocentric CRS"),
        ("EPSG:5773", "Engineering CRS|Vertical CRS"),
    ],
)
def test_coordinates_that_are_no_map_and_no_latitudes_are_refused(
    tmp_path: Path, crs: str, found: str
) -> None:
    place = from_origin(8.0, 50.0, 0.01, 0.01)
    refused(write_geotiff(tmp_path, NAME, RATES, unit="mm/h", crs=crs, transform=place), found)


@pytest.mark.parametrize("scaling", [(0.0, 1.0), (np.nan, 0.0), (-1.0, 0.0), (1.0, np.inf)])
@pytest.mark.parametrize("where", ["band", "tags"])
def test_factors_that_make_no_values_are_refused(
    tmp_path: Path, scaling: tuple[float, float], where: str
) -> None:
    said = (
        {"scaling": scaling}
        if where == "band"
        else {"band_tags": dict(zip(("gain", "offset"), scaling, strict=True))}
    )
    refused(
        write_geotiff(tmp_path, NAME, RATES, unit="mm/h", **said),
        "a positive gain and a finite offset",
    )


@pytest.mark.parametrize("name", ["undetect", "_FillValue", "nodata"])
@pytest.mark.parametrize("code", [-1, 256])
def test_codes_that_the_stored_type_cannot_hold_are_refused(tmp_path: Path, name: str, code: int) -> None:
    values = np.array([[0, 1, 255]], np.uint8)
    path = write_geotiff(tmp_path, NAME, values, unit="mm/h", band_tags={name: code})
    refused(path, f"a code that uint8 can hold as .*, found {code}")


def test_a_stated_relation_that_cannot_be_is_refused_by_its_tags(tmp_path: Path) -> None:
    codes = np.array([[0, 10]], np.uint8)
    for a in ("0", "-200", "nan"):
        path = write_geotiff(tmp_path, NAME, codes, unit="dBZ", band_tags={"zr_a": a, "zr_b": "1.6"})
        refused(path, "as tags zr_a and zr_b")
