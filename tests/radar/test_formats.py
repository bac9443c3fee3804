"""Each format on small files: values, grid, time, mask, and what is recorded."""

import gzip
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError
from pyproj import CRS, Transformer
from radar_files import (
    write_bom,
    write_fmi_geotiff,
    write_fmi_pgm,
    write_hko7,
    write_knmi,
    write_meteonet,
    write_meteoswiss,
    write_mrms,
    write_odim,
    write_radolan,
    write_sevir,
    write_smhi,
)

from ssldm.errors import ConfigurationError, NotGeoreferenced, ObservationError
from ssldm.radar.formats.protocol import ReadOptions
from ssldm.radar.formats.sevir import liquid_of_byte, rain_of_liquid
from ssldm.radar.open import open_radar
from ssldm.radar.units import ZRRelation


def zr(dbz: float, a: float = 200.0, b: float = 1.6) -> float:
    return float((10.0 ** (dbz / 10.0) / a) ** (1.0 / b))


def corner(data: xr.DataArray, row: int = 0, column: int = 0) -> tuple[float, float]:
    """Longitude and latitude of a pixel centre."""
    transformer = Transformer.from_crs(
        CRS.from_wkt(data["crs"].attrs["crs_wkt"]), "EPSG:4326", always_xy=True
    )
    return transformer.transform(float(data["x"][column]), float(data["y"][row]))


def stamp(data: xr.DataArray) -> str:
    return str(data["time"].values[0])[:19]


def test_fmi_geotiff(tmp_path: Path) -> None:
    data = open_radar(write_fmi_geotiff(tmp_path, "201609281445", np.array([[0, 255, 124]])))
    np.testing.assert_allclose(data.values, [[[0.0, np.nan, zr(30.0, 223.0, 1.53)]]], rtol=1e-5)
    np.testing.assert_allclose(data["x"], [-196468.0, -196218.0, -195968.0])
    assert stamp(data) == "2016-09-28T14:45:00"
    assert "TM35FIN" in CRS.from_wkt(data["crs"].attrs["crs_wkt"]).name


@pytest.mark.parametrize("packed", [False, True])
def test_mrms(tmp_path: Path, packed: bool) -> None:
    path = write_mrms(tmp_path, "20190610-000200", np.array([[0, -30, 125], [5, 6, 7]]))
    if packed:
        (packed_path := path.with_suffix(".grib2.gz")).write_bytes(gzip.compress(path.read_bytes()))
        path = packed_path
    data = open_radar(path)
    np.testing.assert_allclose(data.values, [[[0.0, np.nan, 12.5], [0.5, 0.6, 0.7]]], rtol=1e-5)
    assert stamp(data) == "2019-06-10T00:02:00"
    # The grid is regular in degrees, and x and y are metres all the same.
    np.testing.assert_allclose(corner(data), (-129.995, 54.995), atol=1e-6)
    np.testing.assert_allclose(corner(data, 1, 2), (-129.975, 54.985), atol=1e-6)
    assert data["x"].attrs["units"] == "m"


@pytest.mark.parametrize(
    "bulletin", [b"YHXX01 KWBC 011200\r\r\n", b"\x01\r\r\n123\r\r\nYAUS01 KWBC 011200\r\r\n"]
)
def test_grib_may_stand_behind_the_header_of_a_bulletin(tmp_path: Path, bulletin: bytes) -> None:
    path = write_mrms(tmp_path, "20190610-000200", np.array([[0, -30, 125], [5, 6, 7]]))
    expected = open_radar(path)
    path.write_bytes(bulletin + path.read_bytes() + b"\r\r\n\x03")
    xr.testing.assert_identical(open_radar(path), expected)


def test_another_grib_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObservationError, match="expected MRMS PrecipRate"):
        open_radar(write_mrms(tmp_path, "20190610-000200", np.zeros((2, 2)), parameter=(6, 2)))


def test_reading_grib_leaves_no_file_open(tmp_path: Path) -> None:
    path = write_mrms(tmp_path, "20260601-000000", np.zeros((3, 4)))

    def opened() -> int:
        open_radar(path).load()
        return len(list(Path("/proc/self/fd").iterdir()))

    if Path("/proc/self/fd").is_dir():
        assert opened() == opened() == opened()


def test_a_file_of_several_grib_messages_is_refused(tmp_path: Path) -> None:
    path = write_mrms(tmp_path, "20190610-000200", np.zeros((2, 2)))
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(ObservationError, match="expected one message, found 2"):
        open_radar(path)


def test_the_header_of_a_pgm_image_decides(tmp_path: Path) -> None:
    packed = write_fmi_pgm(tmp_path, "201609281445", np.array([[124]]))
    image = gzip.decompress(packed.read_bytes())
    path = tmp_path / "201609281445_fmi.pgm"
    path.write_bytes(image.replace(b"# type", b"# obstime 201609281450\n# type"))
    assert stamp(open_radar(path)) == "2016-09-28T14:50:00"
    path.write_bytes(image.replace(b"# type", b"# param VelocityOfRain\n# type"))
    with pytest.raises(ObservationError, match="found VelocityOfRain"):
        open_radar(path)
    path.write_bytes(b"P5\n1 1\n255\n\x00")
    with pytest.raises(ObservationError, match="expected stereographic as type of the header, found none"):
        open_radar(path)


def test_fields_of_one_quantity_that_do_not_tell_their_times_are_refused(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((2, 2)))
    with h5py.File(path, "a") as file:
        file.copy("dataset1", "dataset2")
        for number in (1, 2):
            del file[f"dataset{number}/what"].attrs["enddate"]
    with pytest.raises(ObservationError, match="expected one field of RATE, found several"):
        open_radar(path)


@pytest.mark.parametrize("name", ["bottomleft", "topright", "truelatitude", "metersperpixel_y"])
@pytest.mark.parametrize("stated", ["", "nan", "north"])
def test_a_pgm_image_without_a_place_is_refused_by_what_is_missing(
    tmp_path: Path, name: str, stated: str
) -> None:
    image = gzip.decompress(write_fmi_pgm(tmp_path, "201609281445", np.array([[124]])).read_bytes())
    lines = [
        f"# {name} {stated}".encode() if line.startswith(f"# {name}".encode()) else line
        for line in image.split(b"\n")
    ]
    path = tmp_path / "201609281445_fmi.pgm"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(
        ObservationError, match=f"expected {name} of the header as .*, found {stated or 'none'}"
    ):
        open_radar(path)


def test_odim_quantities(tmp_path: Path) -> None:
    values = np.array([[-1, -2, 300], [-1, 0, 120]])
    rate = open_radar(write_odim(tmp_path, "20180824181500", values))
    np.testing.assert_allclose(rate.values, [[[0.0, np.nan, 30.0], [0.0, 0.0, 12.0]]], rtol=1e-6)
    np.testing.assert_allclose(rate["x"], [1000.0, 3000.0, 5000.0])
    np.testing.assert_allclose(np.diff(rate["y"]), -2000.0)
    amount = open_radar(write_odim(tmp_path, "20180824181500", values, "ACRR"))
    np.testing.assert_allclose(amount.values, 4.0 * rate.values, rtol=1e-6)
    reflectivity = open_radar(write_odim(tmp_path, "20180824181500", values, "DBZH"), zr=(300.0, 1.4))
    np.testing.assert_allclose(reflectivity.values[0, 0], [0.0, np.nan, zr(30.0, 300.0, 1.4)], rtol=1e-6)
    assert (reflectivity.attrs["zr_a"], reflectivity.attrs["zr_b"]) == (300.0, 1.4)
    with pytest.raises(ObservationError, match="expected one of RATE, ACRR, DBZH, found VRAD"):
        open_radar(write_odim(tmp_path, "20180824181500", values, "VRAD"))
    with pytest.raises(ObservationError, match="expected a composite"):
        open_radar(write_odim(tmp_path, "20180824181500", values, object=b"PVOL"))


def test_a_national_composite_keeps_its_name(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((2, 2)), source="ORG:85,CTY:619,CMT:France")
    assert open_radar(path).attrs["institution"] == "France"


def test_radolan_reflectivity_and_accumulation(tmp_path: Path) -> None:
    codes = np.zeros((900, 900), int)
    codes[0, :3] = [125, 250, 249]  # 30 dBZ, no data, clutter, in the southern row
    data = open_radar(write_radolan(tmp_path, "RX", "201408102050", codes))
    np.testing.assert_allclose(
        data.values[0, -1, :4], [zr(30.0, 256.0, 1.42), np.nan, np.nan, 0.0], rtol=1e-6
    )
    # The south-western corner of the German composite (DWD), half a pixel outside the first centre.
    x, y = float(data["x"][0]) - 500.0, float(data["y"][-1]) - 500.0
    transformer = Transformer.from_crs(
        CRS.from_wkt(data["crs"].attrs["crs_wkt"]), "EPSG:4326", always_xy=True
    )
    np.testing.assert_allclose(transformer.transform(x, y), (3.5889, 46.9526), atol=1e-3)
    codes[0, :3] = [100, 0x29C4, 0]  # 1 mm, no data
    rain = open_radar(write_radolan(tmp_path, "RY", "201408102050", codes))
    np.testing.assert_allclose(rain.values[0, -1, :3], [12.0, np.nan, 0.0], rtol=1e-6)
    assert stamp(rain) == "2014-08-10T20:50:00"


@pytest.mark.parametrize("interval", [b"INT   0", b""])
def test_amounts_of_radolan_without_an_interval_are_refused(tmp_path: Path, interval: bytes) -> None:
    path = write_radolan(tmp_path, "RY", "201408102050", np.zeros((900, 900), int))
    content = path.read_bytes().replace(b"INT   5", interval)
    path.write_bytes(re.sub(rb"BY[ \d]{7}", b"BY%7d" % len(content), content, count=1))
    with pytest.raises(ObservationError, match="expected a positive interval as INT of the header"):
        open_radar(path)


@pytest.mark.parametrize(("product", "ahead"), [("RV", 60), ("RV", 0), ("RQ", 60), ("WN", 5), ("RY", 5)])
def test_forecasts_of_radolan_are_refused_as_such(tmp_path: Path, product: str, ahead: int) -> None:
    path = write_radolan(tmp_path, product, "201408102050", np.zeros((900, 900), int), ahead=ahead)
    with pytest.raises(
        ObservationError, match=rf"found a forecast \(RADOLAN {product}, {ahead} minutes ahead"
    ):
        open_radar(path)


@pytest.mark.parametrize(
    ("version", "shape", "semi_major", "corner"),
    [
        (3, (900, 900), 6370040.0, (3.5889, 46.9526)),
        (5, (1200, 1100), 6378137.0, (3.566994635, 45.69642538)),
    ],
)
def test_radolan_lies_on_the_figure_of_the_earth_that_its_version_means(
    tmp_path: Path, version: int, shape: tuple[int, int], semi_major: float, corner: tuple[float, float]
) -> None:
    """The south-western corners are those that DWD publishes: 900×900 on a sphere, DE1200 on WGS84."""
    path = write_radolan(tmp_path, "RX", "201408102050", np.zeros(shape, int), version=version)
    data = open_radar(path)
    crs = CRS.from_wkt(data["crs"].attrs["crs_wkt"])
    assert crs.ellipsoid.semi_major_metre == semi_major
    to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    place = to_degrees.transform(float(data["x"][0]) - 500.0, float(data["y"][-1]) - 500.0)
    np.testing.assert_allclose(place, corner, atol=1e-4)


def test_meteonet(tmp_path: Path) -> None:
    frames = np.array([[[0, -1], [100, 5]], [[1, 2], [3, 4]]])
    path = write_meteonet(tmp_path, frames, [10, 55])
    data = open_radar(path)
    np.testing.assert_allclose(data.values[0], [[0.0, np.nan], [12.0, 0.6]], rtol=1e-6)
    assert list(data["time"].values.astype("M8[m]").astype(str)) == ["2016-08-21T00:10", "2016-08-21T00:55"]
    np.testing.assert_allclose(corner(data, 1, 1), (-5.827, 51.881), atol=1e-6)
    (tmp_path / "radar_coords_NW.npz").unlink()
    with pytest.warns(NotGeoreferenced, match="no radar_coords_NW"):
        assert "crs" not in open_radar(path).coords


def test_meteonet_without_coordinates_has_pixels_of_a_hundredth_of_a_degree(tmp_path: Path) -> None:
    path = write_meteonet(tmp_path, np.zeros((1, 3, 7)), [5])
    (tmp_path / "radar_coords_NW.npz").unlink()
    with pytest.warns(NotGeoreferenced, match="no radar_coords_NW.npz"):
        data = open_radar(path)
    assert data.shape == (1, 3, 7)
    for axis in ("y", "x"):
        # A quarter of the meridian has 90 degrees and 10,000 km.
        np.testing.assert_allclose(np.abs(np.diff(data[axis])), 1e7 / 90.0 / 100.0, rtol=0.01)


def test_meteonet_dates_name_no_other_function(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (__import__, ("antigravity",))

    path = tmp_path / "rainfall_NW_2016_08.3.npz"
    np.savez(path, data=np.zeros((1, 2, 2), np.int16), dates=np.array([Harm()], dtype=object))
    with pytest.raises(ObservationError, match="expected pickled dates"):
        open_radar(path)


def test_sevir_events_are_places(tmp_path: Path) -> None:
    values = np.zeros((2, 4, 4, 3))
    values[0, 0, 1, 2] = 120  # the southern row of the last frame
    values[1] = 255
    path = write_sevir(tmp_path, values, ["S1", "S2"])
    with pytest.raises(ObservationError, match="expected one place"):
        open_radar(path)
    data = open_radar(write_sevir(tmp_path, values[:1], ["S1"]))
    expected = rain_of_liquid(liquid_of_byte(), ZRRelation())[120]
    assert float(data[2, -1, 1]) == pytest.approx(expected, rel=1e-6)
    assert float(data.sum()) == pytest.approx(expected, rel=1e-6)
    assert stamp(data) == "2018-06-15T11:55:00"
    catalogue = (tmp_path / "CATALOG.csv").read_text()
    path = write_sevir(tmp_path, values[:1], ["S3"])
    (tmp_path / "CATALOG.csv").write_text(catalogue)
    with pytest.raises(ObservationError, match=r"expected event S3 in CATALOG\.csv"):
        open_radar(path)


def test_sevir_liquid_follows_its_definition() -> None:
    liquid = liquid_of_byte()
    np.testing.assert_allclose(liquid[[5, 18, 254]], [0.0, 16.0 / 90.66, np.exp(170.1 / 38.9)])
    # M = 3.44e-3 g m-3 Z^(4/7): 40 dBZ over 3000 m is this much liquid, which gives back the rain of 40 dBZ.
    forty = 3.44e-6 * 1e4 ** (4.0 / 7.0) * 3000.0
    assert rain_of_liquid(np.array([forty]), ZRRelation())[0] == pytest.approx(zr(40.0))


def test_hko7_with_and_without_mask(tmp_path: Path) -> None:
    image = np.zeros((480, 480))
    image[0, :2] = 255
    valid = np.ones((480, 480), bool)
    valid[0, 1] = False
    path = write_hko7(tmp_path, "090102030000", image, valid)
    data = open_radar(path)
    np.testing.assert_allclose(data.values[0, 0, :3], [zr(60.0, 58.53, 1.56), np.nan, 0.0], rtol=1e-5)
    assert stamp(data) == "2009-01-02T03:00:00"
    assert len(open_radar(tmp_path)["time"]) == 1  # the mask is no file of its own
    (tmp_path / "radarPNG_mask" / "RAD090102030000.mask").unlink()
    assert np.isfinite(open_radar(path).values).all()


def test_bom(tmp_path: Path) -> None:
    data = open_radar(write_bom(tmp_path, "2018-06-16T10:00", np.array([[0.0, np.nan], [1.5, 0.05]])))
    np.testing.assert_allclose(data.values[0], [[0.0, np.nan], [15.0, 0.5]], rtol=1e-5)
    np.testing.assert_allclose(data["x"], [-128000.0, -127500.0])
    assert stamp(data) == "2018-06-16T10:00:00"
    assert data["crs"].attrs["grid_mapping_name"] == "albers_conical_equal_area"


@pytest.mark.parametrize(
    ("units", "name", "factor"),
    [
        ("mm h-1", "rainfall_rate", 1.0),
        ("mm/hr", "lwe_precipitation_rate", 1.0),
        ("kg m-2 s-1", "precipitation_flux", 3600.0),
        ("m s-1", "lwe_precipitation_rate", 3.6e6),
        ("mm", "precipitation_amount", 6.0),
        ("kg m-2", "rainfall_amount", 6.0),
    ],
)
def test_units_of_cf_become_rates(tmp_path: Path, units: str, name: str, factor: float) -> None:
    times = np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(10, "m")
    dataset = xr.Dataset(
        {"rain": (("time", "y", "x"), np.ones((3, 2, 2)), {"units": units, "standard_name": name})},
        coords={"time": times, "y": [0.0, 1.0], "x": [0.0, 1.0]},
    )
    dataset["rain"][0, 0, 0] = np.nan
    for axis in "yx":
        dataset[axis].attrs["units"] = "km"
    for data in (
        open_radar(dataset, max_rate=1e9),
        open_radar(_stored(dataset, tmp_path / "a.nc"), max_rate=1e9),
        open_radar(_stored(dataset, tmp_path / "a.zarr"), max_rate=1e9),
    ):
        np.testing.assert_allclose(data.values[1:], factor)
        # North first: the first row is the last of the file.
        assert np.isnan(data.values[0, 1, 0])
        np.testing.assert_allclose(data["y"], [1000.0, 0.0])
        assert data.dtype == np.float32


def _stored(dataset: xr.Dataset, path: Path) -> Path:
    if path.suffix == ".nc":
        dataset.to_netcdf(path, engine="h5netcdf")
    else:
        dataset.to_zarr(path, zarr_format=2)
    return path


def test_cf_on_latitudes_and_longitudes() -> None:
    dataset = xr.Dataset(
        {"dbz": (("time", "latitude", "longitude"), np.full((1, 2, 2), 30.0), {"units": "dBZ"})},
        coords={
            "time": [np.datetime64("2020-01-01", "ns")],
            "latitude": ("latitude", [50.0, 50.01], {"standard_name": "latitude", "units": "degrees_north"}),
            "longitude": ("longitude", [8.0, 8.01], {"standard_name": "longitude", "units": "degrees_east"}),
        },
    )
    data = open_radar(dataset)
    np.testing.assert_allclose(data.values, zr(30.0), rtol=1e-6)
    np.testing.assert_allclose(corner(data), (8.0, 50.01), atol=1e-6)


def test_unknown_units_and_amounts_without_a_period_are_refused() -> None:
    dataset = xr.Dataset(
        {
            "rain": (
                ("time", "y", "x"),
                np.ones((1, 2, 2)),
                {"units": "furlongs", "standard_name": "rainfall_rate"},
            )
        },
        coords={"time": [np.datetime64("2020-01-01", "ns")], "y": [1.0, 0.0], "x": [0.0, 1.0]},
    )
    with pytest.raises(ObservationError, match="found 'furlongs'"):
        open_radar(dataset)
    dataset["rain"].attrs = {"units": "mm", "standard_name": "precipitation_amount"}
    with pytest.raises(ObservationError, match="one period for all amounts"):
        open_radar(dataset)


def test_observations_are_observations_again(tmp_path: Path) -> None:
    data = open_radar(write_knmi(tmp_path, "2010-08-26T03:00", np.array([[0, 65535], [5, 7]])))
    again = open_radar(data)
    xr.testing.assert_identical(again, data)


def test_rates_beyond_nature_are_unobserved_and_the_rule_is_recorded(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.array([[9_990, 10_010], [27_340, -1]]))
    data = open_radar(path)
    np.testing.assert_allclose(data.values, [[[999.0, np.nan], [np.nan, 0.0]]], rtol=1e-6)
    assert data.attrs["max_rate"] == 1000.0
    np.testing.assert_allclose(open_radar(path, max_rate=3000.0).values[0, 1, 0], 2734.0, rtol=1e-6)


@pytest.mark.parametrize("limit", [0.0, -1.0, np.inf, np.nan])
def test_the_highest_rate_is_a_number_above_zero(limit: float) -> None:
    with pytest.raises(ValidationError, match="max_rate"):
        ReadOptions(max_rate=limit)
    with pytest.raises(ConfigurationError, match="expected a positive rate"):
        open_radar("never read", max_rate=limit)


def test_a_format_can_be_named(tmp_path: Path) -> None:
    path = write_smhi(tmp_path, np.zeros((4, 4, 2), np.uint8))
    assert len(open_radar(path, format="smhi")["time"]) == 2
    with pytest.raises(ObservationError, match="cannot be read"):
        open_radar(path, format="knmi")
    with pytest.raises(ConfigurationError, match="expected one of the formats"):
        open_radar(path, format="punched-card")


def test_smhi_windows_of_either_kind_follow_each_other(tmp_path: Path) -> None:
    """The first window of a day names its first frame as its start, the others the last one before it."""
    first = np.zeros((2, 2, 20), np.uint8)
    np.save(tmp_path / "2017_02_06_09_152017_02_06_10_50f1.npy", first)
    np.save(tmp_path / "2017_02_06_10_502017_02_06_12_30f1.npy", first)
    times = open_radar(tmp_path)["time"].values
    assert str(times[0])[:16] == "2017-02-06T09:15"
    assert str(times[-1])[:16] == "2017-02-06T12:30"
    assert set(np.diff(times)) == {np.timedelta64(5, "m")}
    np.save(tmp_path / "2017_02_06_12_302017_02_06_14_30f1.npy", first)
    with pytest.raises(ObservationError, match="expected 20 frames five minutes apart"):
        open_radar(tmp_path)


def test_quantities_are_products_of_their_own(tmp_path: Path) -> None:
    names = [
        open_radar(write_odim(tmp_path, "20180824181500", np.zeros((2, 2)), quantity)).attrs["product"]
        for quantity in ("RATE", "ACRR", "DBZH")
    ]
    assert names == ["OPERA RATE", "OPERA ACRR of 15 min", "OPERA DBZH"]
    with pytest.raises(ObservationError, match="expected a time like"):
        open_radar(write_odim(tmp_path, "2018082418", np.zeros((2, 2))))


def test_other_quantities_of_knmi_are_refused(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, "2010-08-26T03:00", np.array([[62, 0, 0]]))
    with h5py.File(path, "a") as file:
        file["image1"].attrs["image_geo_parameter"] = np.bytes_(b"HEIGHT_[KM]")
    with pytest.raises(ObservationError, match="expected reflectivity in DBZ or precipitation in MM"):
        open_radar(path)
    with h5py.File(path, "a") as file:
        del file["image1/image_data"]
        file["image1/image_data"] = np.array([[124, 255, 0]], np.uint8)
        file["image1"].attrs["image_geo_parameter"] = np.bytes_(b"REFLECTIVITY_[DBZ]")
    data = open_radar(path)
    np.testing.assert_allclose(data.values, [[[zr(30.0), np.nan, 0.0]]], rtol=1e-5)
    assert data.attrs["product"] == "KNMI reflectivity composite"


def test_hourly_sums_of_meteoswiss_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ObservationError, match="expected a file name like"):
        open_radar(write_meteoswiss(tmp_path, [0], "AQC151351545F_00060.801.gif"))


def test_cf_axes_are_found_whatever_their_order() -> None:
    rate = np.zeros((1, 3, 2))
    rate[0, 2, 0] = 5.0  # x = 2, y = 0
    dataset = xr.Dataset(
        {"rainfall_rate": (("time", "x", "y"), rate, {"units": "mm h-1"})},
        coords={"time": [np.datetime64("2020-01-01", "ns")], "x": [0.0, 1.0, 2.0], "y": [0.0, 1.0]},
    )
    data = open_radar(dataset)
    assert data.shape == (1, 2, 3)
    assert float(data.sel(x=2.0, y=0.0)[0]) == 5.0
    assert float(data.sum()) == 5.0
