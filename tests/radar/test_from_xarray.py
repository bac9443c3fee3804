"""What an xarray object says of itself is taken whole, or refused: packing, axes, times, periods."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import CRS

from ssldm.errors import ObservationError
from ssldm.radar.open import open_radar
from ssldm.radar.units import quantity_of

TIMES = pd.date_range("2024-01-01", periods=4, freq="5min").values
Y, X = 5_500_500.0 - 1000.0 * np.arange(5), 500_500.0 + 1000.0 * np.arange(6)
RATE = np.zeros((4, 5, 6), np.float32)
RATE[:, 1, 2] = 39.0
AMOUNT = "precipitation_amount"
POSITIONS = {
    "lat": ("y", 50.0 - 0.01 * np.arange(5), {"standard_name": "latitude"}),
    "lon": ("x", 8.0 + 0.01 * np.arange(6), {"standard_name": "longitude"}),
}


def rain(
    values: object = RATE,
    units: str = "mm h-1",
    *,
    y: object = Y,
    x: object = X,
    dims: tuple[str, ...] = ("time", "y", "x"),
    crs: object = 32632,
    length: str | None = "m",
    standard_name: str = "rainfall_rate",
    **attributes: object,
) -> xr.Dataset:
    of_axis = {} if length is None else {"units": length}
    named = {"units": units, "standard_name": standard_name, "grid_mapping": "crs"} | attributes
    return xr.Dataset(
        {"rain": (dims, values, named)},
        coords={
            dims[0]: TIMES,
            dims[1]: (dims[1], y, of_axis),
            dims[2]: (dims[2], x, of_axis),
            "crs": ((), 0, {"crs_wkt": CRS(crs).to_wkt()}),
        },
    )


def amounts(**attributes: object) -> xr.Dataset:
    return rain(RATE / 12.0, "mm", standard_name=AMOUNT, **attributes)


def opens_as_written(data: object) -> xr.DataArray:
    found = open_radar(data)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.values, RATE[: len(found)], rtol=1e-5, atol=1e-3)
    return found


@pytest.mark.parametrize(
    "units",
    [
        "m-1",
        "h mm-1",
        "s/mm",
        "lg(re mm h-1)",
        "ln(re mm h-1)",
        "mm h-1 @ 5",
        "-1 mm/h",
        "mm/5",
        "mm/5'",
        "mm 12",
    ],
)
def test_units_that_are_not_proportional_to_rain_are_none(units: str) -> None:
    assert quantity_of(units) is None


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("1/10 mm", 0.1),
        ("1/100mm", 0.01),
        ("1/10 mm/h", 0.1),
        ("1e-1 mm/h", 0.1),
        ("MM/H", 1.0),
        ("[mm/h]", 1.0),
        ("mm h⁻¹", 1.0),
        ("mm per 5 minutes", 12.0),
    ],
)
def test_units_are_read_as_services_write_them(units: str, factor: float) -> None:
    found = quantity_of(units)
    assert found is not None
    assert found.factor == pytest.approx(factor)


def test_what_is_still_packed_as_in_a_file_is_unpacked() -> None:
    packed = np.round(RATE * 10).astype("i2")
    packed[:, 0, 0] = -1
    found = open_radar(rain(packed, scale_factor=0.1, _FillValue=np.int16(-1)))
    assert np.isnan(found.values[:, 0, 0]).all()
    np.testing.assert_allclose(found.values[:, 1, 2], 39.0, rtol=1e-6)
    decibel = open_radar(
        rain(
            np.full((4, 5, 6), 120, "u1"),
            "dBZ",
            standard_name="equivalent_reflectivity_factor",
            scale_factor=0.5,
            add_offset=-32.0,
        )
    )
    np.testing.assert_allclose(decibel.values, (10.0**2.8 / 200.0) ** (1.0 / 1.6), rtol=1e-5)


def test_a_valid_range_of_unsigned_values_is_unsigned(tmp_path: object) -> None:
    data = rain(np.where(RATE > 0, 39.0, 0.0))
    data["rain"].encoding = {
        "dtype": "i1",
        "_Unsigned": "true",
        "scale_factor": 0.5,
        "_FillValue": np.int8(-1),
    }
    data["rain"].attrs["valid_range"] = np.array([0, -6], "i1")  # 0 to 250
    data.to_netcdf(f"{tmp_path}/a.nc", engine="h5netcdf")
    opens_as_written(f"{tmp_path}/a.nc")


@pytest.mark.parametrize(
    "wrong",
    [
        {"valid_range": [300.0, 0.0]},
        {"valid_max": np.nan},
        {"valid_range": ["a", "b"]},
        {"valid_max": [1.0, 2.0]},
    ],
)
def test_valid_ranges_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ObservationError, match="valid"):
        open_radar(rain(**wrong))


@pytest.mark.parametrize(
    "dims",
    [
        ("time", "X", "Y"),
        ("time", "easting", "northing"),
        ("time", "cols", "rows"),
        ("time", "west_east", "south_north"),
    ],
)
def test_columns_before_rows_are_turned(dims: tuple[str, ...]) -> None:
    found = opens_as_written(rain(RATE.transpose(0, 2, 1), y=X, x=Y, dims=dims))
    np.testing.assert_allclose((found["y"][0], found["x"][0]), (Y[0], X[0]))


@pytest.mark.parametrize("indexed", [True, False])
def test_latitudes_of_rows_and_longitudes_of_columns_stand_in_for_axes(indexed: bool) -> None:
    straight = rain(
        y=POSITIONS["lat"][1], x=POSITIONS["lon"][1], dims=("time", "lat", "lon"), length=None, crs=4326
    )
    data = rain(y=np.arange(5), x=np.arange(6), length=None).drop_vars("crs").assign_coords(POSITIONS)
    xr.testing.assert_allclose(
        opens_as_written(data if indexed else data.drop_vars(["y", "x"])), open_radar(straight)
    )


def test_numbers_of_pixels_are_no_degrees() -> None:
    with pytest.raises(ObservationError, match="numbers of pixels"):
        open_radar(rain(y=np.arange(5), x=np.arange(6), length=None, crs=4326))


def test_axes_in_degrees_by_their_units_are_latitudes_and_longitudes() -> None:
    data = rain(
        y=POSITIONS["lat"][1], x=POSITIONS["lon"][1], dims=("time", "nlat", "nlon"), length=None
    ).drop_vars("crs")
    data["nlat"].attrs["units"], data["nlon"].attrs["units"] = "degrees_north", "degrees_east"
    assert "crs" in opens_as_written(data).coords


def test_bounds_of_pixels_tell_their_centres() -> None:
    data = rain(x=X - 500.0)
    data["x"].attrs["bounds"] = "x_bnds"
    data["x_bnds"] = (("x", "nv"), np.stack([X - 500.0, X + 500.0], axis=1))
    np.testing.assert_allclose(opens_as_written(data)["x"], X)


def test_rotated_and_other_than_map_projections_are_refused() -> None:
    rotated = CRS.from_cf(
        {
            "grid_mapping_name": "rotated_latitude_longitude",
            "grid_north_pole_latitude": 39.25,
            "grid_north_pole_longitude": -162.0,
        }
    )
    for dims in (("time", "lat", "lon"), ("time", "rlat", "rlon")):
        with pytest.raises(ObservationError, match="rotated"):
            open_radar(
                rain(y=POSITIONS["lat"][1], x=POSITIONS["lon"][1], dims=dims, length=None, crs=rotated)
            )
    for crs in (4978, 5773):  # geocentric, vertical
        with pytest.raises(ObservationError, match="expected a map projection"):
            open_radar(rain(crs=crs))


def test_axes_without_units_have_those_of_the_projection() -> None:
    foot = 1200.0 / 3937.0
    found = opens_as_written(rain(y=Y / foot, x=X / foot, crs=2263, length=None))
    np.testing.assert_allclose(found["y"], Y)
    np.testing.assert_allclose(found["x"], X)


def test_of_several_grid_mappings_that_of_the_axes_counts() -> None:
    data = rain(grid_mapping="geo: lat lon crs: x y").assign_coords(
        geo=((), 0, {"crs_wkt": CRS(4326).to_wkt()})
    )
    xr.testing.assert_identical(opens_as_written(data), open_radar(rain()))


@pytest.mark.parametrize(
    "words",
    [
        "3-hourly sum",
        "half-hourly",
        "quarter-hourly",
        "12-hourly",
        "hourly",
        "last hour",
        "sum of 2 h",
        "daily",
    ],
)
def test_a_single_amount_is_of_the_period_that_its_words_tell(words: str) -> None:
    period = {
        "3-hourly sum": 180,
        "half-hourly": 30,
        "quarter-hourly": 15,
        "12-hourly": 720,
        "hourly": 60,
        "last hour": 60,
        "sum of 2 h": 120,
        "daily": 1440,
    }
    found = open_radar(amounts(long_name=words).isel(time=[0]))
    np.testing.assert_allclose(found.values, RATE[:1] / 12.0 * 60.0 / period[words], rtol=1e-5)


@pytest.mark.parametrize(
    "attributes",
    [
        {"long_name": "1h sum updated every 5 min"},
        {"long_name": "5 min update of hourly sum"},
        {"long_name": "rain in last hour"},
        {"long_name": "accumulated since midnight"},
        {"long_name": "30 sec sums"},
        {"cell_methods": "time: sum (interval: 1 hour)"},
        {"comment": "rolling 1 hour sum"},
    ],
)
def test_words_that_speak_of_another_period_than_the_step_are_heard(attributes: dict[str, str]) -> None:
    with pytest.raises(ObservationError, match="which speaks of"):
        open_radar(amounts(**attributes))
    opens_as_written(amounts(long_name="5 minute sum"))


def test_bounds_of_time_that_are_named_have_to_be_there_whatever_their_order() -> None:
    data = amounts()
    data["time"].attrs["bounds"] = "time_bnds"
    with pytest.raises(ObservationError, match="'time_bnds'"):
        open_radar(data)
    bounds = np.stack([TIMES - np.timedelta64(299, "s"), TIMES])
    data["time_bnds"] = (("nv", "time"), bounds)
    opens_as_written(data)


def test_the_time_of_the_frames_is_no_other_time() -> None:
    hour = np.timedelta64(1, "h")
    one = rain().isel(time=0, drop=True)
    forecast = one.assign_coords(
        time=((), TIMES[0] - hour, {"standard_name": "forecast_reference_time"}),
        valid_time=((), TIMES[0], {"standard_name": "time"}),
    )
    made = rain().assign_coords(production_time=("time", TIMES + hour, {"standard_name": "time"}))
    later = rain().assign_coords(production_time=((), TIMES[0] + hour, {"standard_name": "time"}))
    for data in (forecast, made, later, rain(dims=("Time", "y", "x"))):
        assert opens_as_written(data)["time"].values[0] == TIMES[0]


def test_times_that_nanoseconds_cannot_count_are_refused() -> None:
    for year in ("3000", "1000"):
        times = np.datetime64(f"{year}-01-01", "s") + np.arange(4) * np.timedelta64(300, "s")
        with pytest.raises(ObservationError, match="expected times from 1678"):
            open_radar(rain().assign_coords(time=times))


def test_several_candidates_are_named_and_a_rate_goes_before_a_reflectivity() -> None:
    with pytest.raises(ObservationError, match="found rain, other"):
        open_radar(rain().assign(other=lambda data: data["rain"]))
    mixed = (
        rain()
        .drop_vars("rain")
        .assign(
            z=rain(units="dBZ", standard_name="equivalent_reflectivity_factor")["rain"],
            rr=(("time", "y", "x"), RATE, {"units": "mm/h", "grid_mapping": "crs"}),
        )
    )
    opens_as_written(mixed)


@pytest.mark.parametrize(
    ("units", "standard_name"),
    [
        ("m s-1", "wind_speed"),
        ("m", "height"),
        ("mm", "surface_snow_thickness"),
        ("kg m-2", "snowfall_amount"),
    ],
)
def test_what_calls_itself_something_else_is_no_rain(units: str, standard_name: str) -> None:
    with pytest.raises(ObservationError, match=standard_name):
        open_radar(rain(units=units, standard_name=standard_name)["rain"])


def test_dimensions_of_one_are_left_out() -> None:
    opens_as_written(rain().expand_dims(height=[10.0]))
    opens_as_written(rain().expand_dims(band=[1], member=[0]))


def test_a_limit_that_a_file_claims_is_not_believed() -> None:
    found = open_radar(rain(np.where(RATE > 0, 2039.0, -9999.0).astype("f4"), max_rate=1000.0))
    assert np.isnan(found.values).all()


@pytest.mark.parametrize(
    "data",
    [
        rain(x=list("abcdef")),
        rain().isel(x=slice(0)),
        rain(grid_mapping=["crs"]),
        rain(standard_name=["rainfall_rate"]),
        rain().assign_coords(time=pd.period_range("2024-01-01", periods=4, freq="5min")),
        rain().assign_attrs(title=np.array(["a", "b"])),
        amounts().assign(start_time=("n", TIMES[:2])),
    ],
)
def test_whatever_else_is_wrong_ends_in_an_error_of_this_package_or_opens(data: xr.Dataset) -> None:
    try:
        found = open_radar(data)
    except ObservationError:
        return
    np.testing.assert_allclose(found.values, RATE, rtol=1e-5)
