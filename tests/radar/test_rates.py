"""Values of xarray objects: units, codes, ranges and periods."""

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.radar.open import open_radar
from ssldm.radar.units import quantity_of

TIMES = np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(5, "m")
AXES = {"y": ("y", [1000.0, 0.0], {"units": "m"}), "x": ("x", [0.0, 1000.0], {"units": "m"})}


def array(
    values: object, units: object, name: str | None = "something", **attributes: object
) -> xr.DataArray:
    field = np.broadcast_to(np.asarray(values), (3, 2, 2)).copy()
    attributes |= {} if units is None else {"units": units}
    return xr.DataArray(
        field, dims=("time", "y", "x"), coords={"time": TIMES} | AXES, name=name, attrs=attributes
    )


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("mm h-1", 1.0), ("mm/h", 1.0), ("mm/hr", 1.0), ("mm hr^-1", 1.0), ("mm hour-1", 1.0), ("mmh-1", 1.0),
        ("kg m-2 s-1", 3600.0), ("kg/m2/s", 3600.0), ("kg m**-2 s**-1", 3600.0), ("m s-1", 3.6e6),
        ("mm/min", 60.0), ("mm/5min", 12.0), ("mm/(5 min)", 12.0), ("mm (5 min)-1", 12.0), ("mm/10 min", 6.0),
        ("mm/d", 1 / 24), ("mm day-1", 1 / 24), ("in/hr", 25.4), ("inch/hour", 25.4), ("0.1 mm h-1", 0.1),
        ("mm", 12.0), ("kg/m^2", 12.0), ("kg m-2", 12.0), ("m", 12_000.0), ("in", 304.8), ("l m-2", 12.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["something", None, "time_of_day"])
def test_an_array_is_taken_by_its_units_whatever_its_name(
    units: str, factor: float, name: str | None
) -> None:
    data = open_radar(array(0.03125, units, name), max_rate=1e9)
    np.testing.assert_allclose(data.values, 0.03125 * factor, rtol=1e-6)


@pytest.mark.parametrize(
    "units", [None, "", "1", "K", "%", "furlong", "mm 5min-1", "mm6 m-3", "degrees", 7, "dB"]
)
def test_units_of_something_else_are_refused(units: object) -> None:
    with pytest.raises(ObservationError, match="expected units of a rate"):
        open_radar(array(1.0, units))
    assert units is None or quantity_of(str(units)) is None


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "O"])
def test_numbers_of_any_type_are_numbers(dtype: str) -> None:
    data = open_radar(array(np.array(3, dtype), "mm h-1"))
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data.values, 3.0)


@pytest.mark.parametrize("value", ["3", True, 3j, np.datetime64("2020-01-01"), None])
def test_what_is_no_number_is_refused(value: object) -> None:
    field = array(value, "mm h-1")
    if value is None:  # no value is no observation
        assert np.isnan(open_radar(field).values).all()
        return
    with pytest.raises(ObservationError, match="expected numbers"):
        open_radar(field)


def test_rounding_noise_is_dry_and_what_no_rate_can_be_is_unobserved() -> None:
    values = np.array([[-1e-7, -0.0], [-9999.0, np.inf]], np.float32)
    for chunked in (False, True):
        field = array(values, "mm h-1")
        data = open_radar(field.chunk() if chunked else field)
        np.testing.assert_array_equal(data.values[0], [[0.0, 0.0], [np.nan, np.nan]])


@pytest.mark.parametrize("code", [-9999.0, -999.0, -99.0, -32768.0, np.nan])
def test_reflectivities_that_no_radar_measures_are_unobserved(code: float) -> None:
    data = open_radar(array(np.array([[code, -32.0], [-np.inf, 23.0]]), "dBZ"))
    assert np.isnan(data.values[0, 0, 0])
    assert data.values[0, 1, 0] == 0.0
    np.testing.assert_allclose(data.values[0, 1, 1], (10.0**2.3 / 200.0) ** (1.0 / 1.6), rtol=1e-5)
    assert 0.0 <= data.values[0, 0, 1] < 0.001


@pytest.mark.parametrize(
    "attributes", [{"valid_range": [0.0, 50.0]}, {"valid_max": 50.0}, {"valid_min": 0.0}]
)
def test_what_a_file_declares_invalid_is_unobserved(attributes: dict[str, object]) -> None:
    data = open_radar(array(np.array([[0.0, 50.0], [60.0, -5.0]]), "mm h-1", **attributes))
    np.testing.assert_array_equal(data.values[0, 0], [0.0, 50.0])
    assert np.isnan(data.values[0, 1, 0]) == ("valid_min" not in attributes)
    assert np.isnan(data.values[0, 1, 1])
    with pytest.raises(ObservationError, match="valid_range"):
        open_radar(array(1.0, "mm h-1", valid_range=[1.0]))


def test_a_valid_range_of_packed_values_is_unpacked(tmp_path: object) -> None:
    data = array(np.array([[0.0, 5.0], [25.5, 20.0]]), "mm h-1").to_dataset(name="rain_rate")
    data["rain_rate"].encoding = {"dtype": "u1", "scale_factor": 0.1, "add_offset": 0.0}
    data["rain_rate"].attrs["valid_range"] = np.array([0, 200], "u1")
    data.to_netcdf(f"{tmp_path}/packed.nc")
    np.testing.assert_allclose(
        open_radar(f"{tmp_path}/packed.nc").values[0], [[0.0, 5.0], [np.nan, 20.0]], rtol=1e-6
    )


def sums(minutes: int, **attributes: object) -> xr.Dataset:
    data = array(6.0, "mm", "rainfall_amount").to_dataset()
    data["rainfall_amount"].attrs |= attributes
    data["time_bnds"] = (("time", "nv"), np.stack([TIMES - np.timedelta64(minutes, "m"), TIMES], axis=1))
    return data


def test_sums_are_taken_over_the_bounds_of_time_and_refused_where_these_overlap() -> None:
    for minutes in (1, 5, 60):
        data = sums(minutes)
        for named in (False, True):
            if named:
                data["time"].attrs["bounds"] = "time_bnds"
            if minutes <= 5:
                np.testing.assert_allclose(open_radar(data).values, 6.0 * 60.0 / minutes)
            else:
                with pytest.raises(ObservationError, match="sums over 60 minutes every 5 minutes"):
                    open_radar(data)
    mixed = sums(60)
    mixed["time_bnds"][0, 0] -= np.timedelta64(5, "m")
    with pytest.raises(ObservationError, match="found 60, 65 minutes"):
        open_radar(mixed)


@pytest.mark.parametrize(
    "words", ["Hourly rainfall", "rain of the last 1 hour", "acc_1h", "ACC 60 min", "sum 1 h"]
)
def test_sums_whose_words_contradict_the_time_step_are_refused(words: str) -> None:
    data = sums(5, long_name=words).drop_vars("time_bnds")
    with pytest.raises(ObservationError, match="which speaks of 60 min"):
        open_radar(data)
    data["rainfall_amount"].attrs["long_name"] = "rain of 5 minutes, bias-corrected 1"
    np.testing.assert_allclose(open_radar(data).values, 72.0)


@pytest.mark.parametrize(
    "zr", [(0, 1.6), (-200.0, 1.6), (200.0, 0.0), (np.nan, 1.6), (200.0,), "200,1.6", (1, 2, 3), ("a", "b")]
)
def test_relations_that_are_none_are_refused_at_once(zr: object) -> None:
    with pytest.raises(ConfigurationError, match="Z = a R"):
        open_radar("nowhere", zr=zr)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf, "many"])
def test_limits_that_are_none_are_refused_at_once(rate: object) -> None:
    with pytest.raises(ConfigurationError, match="positive rate"):
        open_radar("nowhere", max_rate=rate)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [None, 3, {"a": 1}, np.zeros((4, 4))])
def test_sources_that_are_none_are_refused_at_once(source: object) -> None:
    with pytest.raises(ConfigurationError, match="expected a path"):
        open_radar(source)  # type: ignore[arg-type]


def test_groups_of_netcdf_are_read_or_named(tmp_path: object) -> None:
    one, two = f"{tmp_path}/one.nc", f"{tmp_path}/two.nc"
    data = array(3.0, "mm h-1").to_dataset(name="rain_rate")
    for path, groups in ((one, ["science/grids"]), (two, ["a", "b"])):
        for number, group in enumerate(groups):
            data.to_netcdf(path, group=group, mode="a" if number else "w", engine="h5netcdf")
    quality = xr.Dataset({"quality": (("time", "y", "x"), np.ones((1, 3, 3)))})
    quality.to_netcdf(two, group="c", mode="a", engine="h5netcdf")
    np.testing.assert_array_equal(open_radar(one).values, 3.0)
    with pytest.raises(ObservationError, match=r"found the groups a, b$"):
        open_radar(two)


def test_groups_of_zarr_are_found_however_deep(tmp_path: object) -> None:
    data = array(3.0, "mm h-1").to_dataset(name="rain_rate")
    data.to_zarr(f"{tmp_path}/a.zarr", group="radar/composite")
    np.testing.assert_array_equal(open_radar(f"{tmp_path}/a.zarr").values, 3.0)


@pytest.mark.parametrize("name", ["gif", "", 3])
def test_formats_that_are_none_are_refused_whatever_the_source(name: object) -> None:
    for source in ("nowhere", array(1.0, "mm h-1")):
        with pytest.raises(ConfigurationError, match="one of the formats"):
            open_radar(source, format=name)  # type: ignore[arg-type]
