"""KNMI and ODIM: the file's own formula, codes, times and choice of fields decide, or the file is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from radar_files import change_attributes, write_knmi, write_odim

from ssldm.errors import ObservationError
from ssldm.radar.open import open_radar
from ssldm.radar.units import ZRRelation

TIME = "2010-08-26T03:00"


def zr(dbz: float) -> float:
    return float(ZRRelation().rain_rate(np.array(dbz)))


def calibrated(path: Path, **attributes: object) -> Path:
    return change_attributes(path, "image1/calibration", **attributes)


def reflectivity(folder: Path, codes: list[int]) -> Path:
    path = write_knmi(folder, TIME, np.array([codes]))
    with h5py.File(path, "a") as file:
        del file["image1/image_data"]
        file["image1/image_data"] = np.array([codes], np.uint8)
    return change_attributes(path, "image1", image_geo_parameter=np.bytes_(b"REFLECTIVITY_[DBZ]"))


@pytest.mark.parametrize(
    ("formula", "slope", "offset"),
    [
        ("GEO=0.01*PV+0.0", 0.01, 0.0),
        ("GEO = 0.020000 * PV + 0.500000", 0.02, 0.5),
        ("GEO = 0.1 * PV + -0.5", 0.1, -0.5),
        ("geo=.1*pv-0.5", 0.1, -0.5),
        ("GEO = 1e-1 * PV", 0.1, 0.0),
        ("GEO=0.1*PV - 0.0 ", 0.1, 0.0),
    ],
)
def test_knmi_amounts_follow_the_formula_in_the_file(
    tmp_path: Path, formula: str, slope: float, offset: float
) -> None:
    path = calibrated(
        write_knmi(tmp_path, TIME, np.array([[10, 50]])), calibration_formulas=np.bytes_(formula.encode())
    )
    expected = [12.0 * (slope * code + offset) for code in (10, 50)]
    np.testing.assert_allclose(open_radar(path).values[0, 0], expected, rtol=1e-6)


def test_knmi_reflectivity_follows_the_formula_in_the_file(tmp_path: Path) -> None:
    path = calibrated(reflectivity(tmp_path, [0, 100, 255]), calibration_formulas="GEO = 0.25 * PV + 5")
    np.testing.assert_allclose(open_radar(path).values[0, 0], [0.0, zr(30.0), np.nan], rtol=1e-6)


@pytest.mark.parametrize("formula", ["GEO=LOG(PV)", "GEO=0.01*PV*PV", "", "GEO=0.01*PV+0.0;GEO=PV", "0.01"])
def test_a_formula_that_is_not_understood_is_refused_and_quoted(tmp_path: Path, formula: str) -> None:
    path = calibrated(write_knmi(tmp_path, TIME, np.array([[1]])), calibration_formulas=formula)
    with pytest.raises(ObservationError) as refused:
        open_radar(path)
    assert repr(formula) in str(refused.value)


def test_an_image_that_is_not_calibrated_is_refused(tmp_path: Path) -> None:
    path = calibrated(write_knmi(tmp_path, TIME, np.array([[1]])), calibration_flag="N")
    with pytest.raises(ObservationError, match="expected a calibrated image1, found calibration_flag 'N'"):
        open_radar(path)


def test_both_codes_that_the_file_names_are_unobserved_and_no_others(tmp_path: Path) -> None:
    path = calibrated(
        write_knmi(tmp_path, TIME, np.array([[0, 7, 8, 9]])),
        calibration_missing_data=np.array([7], np.int32),
        calibration_out_of_image=np.array([8], np.int32),
    )
    found = open_radar(path).values[0, 0]
    np.testing.assert_allclose(found, [0.0, np.nan, np.nan, 1.08], rtol=1e-6)
    amounts = calibrated(path, calibration_missing_data=0)
    assert np.isnan(open_radar(amounts).values[0, 0, 0])


def test_the_code_of_missing_reflectivity_means_no_echo_where_it_is_zero_only(tmp_path: Path) -> None:
    path = reflectivity(tmp_path, [0, 124, 254, 255])
    calibrated(path, calibration_missing_data=0, calibration_out_of_image=255)
    found = open_radar(path, max_rate=1e9).values[0, 0]
    np.testing.assert_allclose(found, [0.0, zr(30.0), zr(95.0), np.nan], rtol=1e-6)
    calibrated(path, calibration_missing_data=254)
    found = open_radar(path, max_rate=1e9).values[0, 0]
    np.testing.assert_allclose(found, [0.0, zr(30.0), np.nan, np.nan], rtol=1e-6)


def test_units_in_the_parameter_tell_rates_from_amounts(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, TIME, np.array([[100]]))
    change_attributes(path, "image1", image_geo_parameter="PRECIP_[MM]")
    assert float(open_radar(path)[0, 0, 0]) == pytest.approx(12.0)
    calibrated(change_attributes(path, "image1", image_geo_parameter="RAINFALL_RATE_[MM/H]"))
    with pytest.raises(ObservationError, match=r"expected calibration_formulas for RAINFALL_RATE_\[MM/H\]"):
        open_radar(path)
    calibrated(path, calibration_formulas="GEO=0.01*PV+0.0")
    assert float(open_radar(path)[0, 0, 0]) == pytest.approx(1.0)
    change_attributes(path, "image1", image_geo_parameter="PRECIP_[INCH]")
    with pytest.raises(ObservationError, match=r"found PRECIP_\[INCH\]"):
        open_radar(path)


def with_second_image(path: Path, code: int, parameter: str, **attributes: object) -> Path:
    with h5py.File(path, "a") as file:
        file["image2/image_data"] = np.array([[code]], np.uint16)
    return change_attributes(path, "image2", image_geo_parameter=parameter, **attributes)


def test_the_image_of_rain_is_read_wherever_it_stands(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, TIME, np.array([[1]]))
    change_attributes(path, "image1", image_geo_parameter="HEIGHT_[KM]")
    with_second_image(path, 100, "ACCUMULATED_PRECIPITATION_[MM]")
    assert float(open_radar(path)[0, 0, 0]) == pytest.approx(12.0)
    change_attributes(path, "image1", image_geo_parameter="REFLECTIVITY_[DBZ]")
    assert float(open_radar(path)[0, 0, 0]) == pytest.approx(12.0)


def test_several_images_of_one_kind_are_refused_by_their_names(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, TIME, np.array([[1]]))
    change_attributes(path, "image1", image_geo_parameter="PRECIP_[MM]", image_product_name="RAD_1")
    with_second_image(path, 1, "PRECIP_[MM]", image_product_name="RAD_2")
    with pytest.raises(ObservationError, match=r"image1 \(PRECIP_\[MM\], RAD_1\), image2 \(.*RAD_2\)"):
        open_radar(path)


def test_an_image_that_is_valid_later_than_its_file_is_refused_as_a_forecast(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, TIME, np.array([[1]]))
    change_attributes(path, "image1", image_datetime_valid="26-AUG-2010;03:05:00.000")
    with pytest.raises(ObservationError, match="found a forecast for 2010-08-26 03:05"):
        open_radar(path)


@pytest.mark.parametrize(
    "stamp",
    ["26-AUG-2010;03:00:00.000", "26-AUG-2010;03:00:00", "26-Aug-2010;03:00", "26-aug-2010;03:00:00Z"],
)
def test_times_of_knmi_are_read_with_and_without_fractions(tmp_path: Path, stamp: str) -> None:
    path = write_knmi(tmp_path, TIME, np.array([[100]]))
    change_attributes(path, "overview", product_datetime_end=np.array([stamp.encode()]))
    data = open_radar(path)
    assert data["time"].values[0] == np.datetime64(TIME)
    assert float(data[0, 0, 0]) == pytest.approx(12.0)


@pytest.mark.parametrize("stamp", ["31-FEB-2010;03:00:00", "26-MAI-2010;03:00:00", "yesterday"])
def test_what_is_no_time_is_refused_and_quoted(tmp_path: Path, stamp: str) -> None:
    path = change_attributes(
        write_knmi(tmp_path, TIME, np.array([[1]])), "overview", product_datetime_end=stamp
    )
    with pytest.raises(ObservationError, match=f"as product_datetime_end, found '{stamp}'"):
        open_radar(path)


MISSING = [
    ("what", "date", "what/date"),
    ("what", "object", "what/object"),
    ("where", "projdef", "where/projdef of dataset1/data1"),
    ("where", "xscale", "where/xscale of dataset1/data1"),
    ("where", "LL_lat", "where/LL_lat of dataset1/data1"),
    ("dataset1/what", "gain", "what/gain of dataset1/data1"),
    ("dataset1/what", "undetect", "what/undetect of dataset1/data1"),
]


@pytest.mark.parametrize(("group", "name", "named"), MISSING)
def test_a_missing_attribute_of_odim_is_named(tmp_path: Path, group: str, name: str, named: str) -> None:
    path = change_attributes(write_odim(tmp_path, "20180824181500", np.zeros((2, 2))), group, **{name: None})
    with pytest.raises(ObservationError, match=f"expected the attribute {named}, found none"):
        open_radar(path)


def test_a_missing_attribute_of_knmi_is_named(tmp_path: Path) -> None:
    path = write_knmi(tmp_path, TIME, np.zeros((2, 2)))
    change_attributes(path, "geographic", geo_row_offset=None)
    with pytest.raises(
        ObservationError, match="expected the attribute geographic/geo_row_offset, found none"
    ):
        open_radar(path)


@pytest.mark.parametrize("quantity", ["RATE", "ACRR", "DBZH"])
def test_odim_attributes_may_be_arrays_of_one_element_everywhere(tmp_path: Path, quantity: str) -> None:
    path = write_odim(tmp_path, "20180824181500", np.array([[-1, -2, 300]]), quantity)
    expected = open_radar(path)
    with h5py.File(path, "a") as file:
        for group in (file["what"], file["where"], file["dataset1/what"]):
            for name, value in list(group.attrs.items()):
                group.attrs[name] = np.array([f"{value} ".encode() if isinstance(value, str) else value])
    found = open_radar(path)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.attrs == expected.attrs
    assert found["time"].equals(expected["time"])
    change_attributes(path, "dataset1/what", gain=np.array([1.0, 2.0]))
    with pytest.raises(ObservationError, match=r"what/gain of dataset1/data1: expected one value, found 2"):
        open_radar(path)


def test_odim_times_are_read_without_seconds(tmp_path: Path) -> None:
    data = open_radar(write_odim(tmp_path, "201808241815", np.zeros((2, 2))))
    assert data["time"].values[0] == np.datetime64("2018-08-24T18:15")


def test_a_code_that_is_both_nodata_and_undetect_is_neither_dry_nor_unobserved(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.array([[5, -1]]))
    change_attributes(path, "dataset1/what", nodata=-1.0)
    with pytest.raises(ObservationError, match="nodata and undetect, found -1 for both"):
        open_radar(path)
    wet = change_attributes(
        write_odim(tmp_path, "20180824181500", np.array([[5, 6]])), "dataset1/what", nodata=-1.0
    )
    np.testing.assert_allclose(open_radar(wet).values[0, 0], [0.5, 0.6], rtol=1e-6)


def with_second_dataset(path: Path, value: float, number: int = 2, **attributes: object) -> Path:
    with h5py.File(path, "a") as file:
        file[f"dataset{number}/data1/data"] = np.full((2, 2), value)
        file.create_group(f"dataset{number}/what").attrs.update(dict(file["dataset1/what"].attrs))
    return change_attributes(path, f"dataset{number}/what", **attributes)


def test_one_quantity_in_several_datasets_is_refused_by_their_names(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((2, 2)))
    change_attributes(path, "dataset1/what", product="CAPPI", prodpar=1000.0)
    with_second_dataset(path, 5.0, product="CAPPI", prodpar=2000.0)
    with pytest.raises(
        ObservationError, match=r"dataset1/data1 \(CAPPI 1000\.0.*dataset2/data1 \(CAPPI 2000\.0"
    ):
        open_radar(path)
    # Neither of them is meant where their times happen to differ as well.
    change_attributes(path, "dataset2/what", endtime="180000")
    with pytest.raises(ObservationError, match="expected one field of RATE, found several"):
        open_radar(path)


def test_another_quantity_beside_the_rain_does_not_stand_in_its_way(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.full((2, 2), 10.0))
    with_second_dataset(path, 5.0, quantity="QIND")
    np.testing.assert_allclose(open_radar(path).values, 1.0)


def test_datasets_of_several_times_are_frames_in_order_of_time(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.full((2, 2), 10.0))
    for number, value, end in ((2, 30.0, "180500"), (10, 20.0, "181000")):
        with_second_dataset(path, value, number, endtime=end)
    data = open_radar(path)
    assert [str(time)[11:16] for time in data["time"].values] == ["18:05", "18:10", "18:15"]
    np.testing.assert_allclose(data.values[:, 0, 0], [3.0, 2.0, 1.0], rtol=1e-6)


def test_frames_later_than_the_time_of_the_file_are_refused_as_a_forecast(tmp_path: Path) -> None:
    path = with_second_dataset(
        write_odim(tmp_path, "20180824181500", np.zeros((2, 2))), 5.0, endtime="182000"
    )
    with pytest.raises(ObservationError, match="2018-08-24 18:20:00: a forecast"):
        open_radar(path)


@pytest.mark.parametrize("quantity", ["RATE", "DBZH", "ACRR"])
@pytest.mark.parametrize("minutes", [5, 10, 60])
def test_a_single_odim_field_of_a_later_time_than_its_file_is_refused_as_a_forecast(
    tmp_path: Path, quantity: str, minutes: int
) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((3, 2)), quantity)
    later = np.datetime_as_string(np.datetime64("2018-08-24T18:15:00") + np.timedelta64(minutes, "m"))
    time = later[11:].replace(":", "")
    change_attributes(path, "dataset1/what", starttime="181500" if quantity == "ACRR" else time, endtime=time)
    with pytest.raises(ObservationError, match="a forecast"):
        open_radar(path)


def test_an_odim_scan_may_begin_at_the_time_of_its_file(tmp_path: Path) -> None:
    path = write_odim(tmp_path, "20180824181500", np.zeros((3, 2)))
    change_attributes(path, "dataset1/what", starttime="181512", endtime="182007")
    assert open_radar(path)["time"].values[0] == np.datetime64("2018-08-24T18:15")


@pytest.mark.parametrize(
    "changes", [{"gain": 0.0}, {"gain": np.nan}, {"gain": np.inf}, {"gain": -0.5}, {"offset": np.nan}]
)
def test_odim_factors_that_make_no_values_are_refused(tmp_path: Path, changes: dict[str, float]) -> None:
    path = write_odim(tmp_path, "20180824181500", np.ones((3, 2)))
    change_attributes(path, "dataset1/what", **changes)
    with pytest.raises(ObservationError, match="a positive gain and a finite offset"):
        open_radar(path)


@pytest.mark.parametrize("name", ["nodata", "undetect"])
@pytest.mark.parametrize("code", [-1.0, 256.0, 0.5])
def test_odim_codes_that_the_stored_type_cannot_hold_are_refused(
    tmp_path: Path, name: str, code: float
) -> None:
    path = write_odim(tmp_path, "20180824181500", np.ones((1, 3)))
    with h5py.File(path, "a") as file:
        del file["dataset1/data1/data"]
        file["dataset1/data1/data"] = np.array([[0, 1, 255]], np.uint8)
    change_attributes(path, "dataset1/what", **({"nodata": 255.0, "undetect": 0.0} | {name: code}))
    with pytest.raises(ObservationError, match=f"a code that uint8 can hold as what/{name}, found {code:g}"):
        open_radar(path)
    change_attributes(path, "dataset1/what", nodata=255.0, undetect=0.0)
    np.testing.assert_allclose(open_radar(path).values[0, 0], [0.0, 0.1, np.nan], rtol=1e-6)


def test_hdf5_may_stand_after_a_block_of_another_kind(tmp_path: Path) -> None:
    for path in (
        write_odim(tmp_path, "20180824181500", np.ones((3, 2))),
        write_knmi(tmp_path, TIME, np.ones((3, 2))),
    ):
        expected = open_radar(path)
        whole = path.read_bytes()
        for size in (512, 2048):
            path.write_bytes(b"\0" * size + whole)
            np.testing.assert_array_equal(open_radar(path).values, expected.values)


@pytest.mark.parametrize("formula", ["GEO=0*PV+1", "GEO=-0.01*PV+10", "GEO=0.0*PV"])
def test_a_formula_that_does_not_rise_with_the_code_is_refused(tmp_path: Path, formula: str) -> None:
    path = calibrated(write_knmi(tmp_path, TIME, np.array([[1]])), calibration_formulas=formula)
    with pytest.raises(ObservationError, match="a calibration that rises with the code"):
        open_radar(path)


@pytest.mark.parametrize("name", ["calibration_missing_data", "calibration_out_of_image"])
@pytest.mark.parametrize("code", [-1, 65536])
def test_knmi_codes_that_the_image_cannot_hold_are_refused(tmp_path: Path, name: str, code: int) -> None:
    path = calibrated(write_knmi(tmp_path, TIME, np.array([[65535]])), **{name: code})
    with pytest.raises(ObservationError, match=f"a code that uint16 can hold as image1/calibration/{name}"):
        open_radar(path)


@pytest.mark.parametrize("parameter", ["PRECIPITATION", "PRECIP", "RAINFALL", "ACCUMULATED_PRECIPITATION"])
def test_plain_names_of_rain_are_amounts(tmp_path: Path, parameter: str) -> None:
    path = write_knmi(tmp_path, TIME, np.array([[100]]))
    change_attributes(path, "image1", image_geo_parameter=parameter)
    assert float(open_radar(path)[0, 0, 0]) == pytest.approx(12.0)


@pytest.mark.parametrize(
    "parameter",
    ["PRECIPITATION_TYPE", "PRECIPITATION_QUALITY", "PRECIPITATION_[-]", "RAIN_PROBABILITY_[%]",
     "PRECIPITATION_PHASE", "REFLECTIVITY_QUALITY", "DRAINAGE_[MM]"],
)  # fmt: skip
def test_what_is_said_of_rain_other_than_how_much_is_no_rain(tmp_path: Path, parameter: str) -> None:
    path = write_knmi(tmp_path, TIME, np.array([[1]]))
    change_attributes(path, "image1", image_geo_parameter=parameter)
    with pytest.raises(ObservationError) as refused:
        open_radar(path)
    assert parameter in str(refused.value)
