"""Pictures show all pixels of a large map, and observations only where and when they belong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS

from ssldm.errors import ObservationError
from ssldm.forecast.dataset import nowcast_dataset
from ssldm.observed_beside import ObservedBeside
from ssldm.plotting import plot_nowcast
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.rain_maps import draw, panel_grid, probability_colours, rain_colours
from ssldm.shrunk_image import shrunk

UTM = "+proj=utm +zone=32 +datum=WGS84 +units=m +no_defs"
STEP = np.timedelta64(5, "m")
START = np.datetime64("2020-06-01T12:00")


@pytest.mark.parametrize("shape", [(64, 64), (37, 51), (1, 1), (99, 203), (150, 30)])
def test_a_field_drawn_on_fewer_pixels_keeps_its_strongest(shape: tuple[int, int]) -> None:
    field = np.random.default_rng(0).gamma(0.1, 5.0, (100, 203))
    found = shrunk(field, shape)
    assert found.shape == (min(shape[0], 100), min(shape[1], 203))
    assert found.max() == field.max()
    # Every pixel is in one of those that are drawn, near to where it is.
    row, column = np.unravel_index(field.argmax(), field.shape)
    drawn_row, drawn_column = np.unravel_index(found.argmax(), found.shape)
    assert abs((drawn_row + 0.5) * 100 / found.shape[0] - row - 0.5) <= 100 / found.shape[0]
    assert abs((drawn_column + 0.5) * 203 / found.shape[1] - column - 0.5) <= 203 / found.shape[1]


def test_a_field_that_has_no_more_pixels_than_the_picture_is_drawn_as_it_is() -> None:
    field = np.random.default_rng(0).gamma(0.1, 5.0, (30, 40))
    np.testing.assert_array_equal(shrunk(field, (30, 400)), field)


def test_a_drawn_pixel_is_the_largest_of_what_is_known_of_its_area() -> None:
    field = np.array([[1.0, 3.0, np.nan, 8.0, np.nan, np.nan], [5.0, 7.0, 2.0, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(shrunk(field, (1, 3)), [[7.0, 8.0, np.nan]])


def drawn(
    field: np.ndarray, colours: tuple[object, object], resolution: int
) -> tuple[np.ndarray, np.ndarray]:
    """The colours ``(y, x, 3)`` inside of the axis, and the values that they stand for."""
    figure, axes = panel_grid(1, 1, 2.0)
    figure.set_dpi(resolution)
    axis = axes[0, 0]
    draw(axis, field, *colours)
    axis.set_axis_off()
    figure.canvas.draw()
    height = figure.canvas.get_width_height()[1]
    box = axis.bbox
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    rows = slice(height - int(box.y1) + 1, height - int(np.ceil(box.y0)) - 1)
    inside = picture[rows, int(np.ceil(box.x0)) + 1 : int(box.x1) - 1]
    return inside, axis.images[0].get_array().filled(np.nan)


@pytest.mark.parametrize("side", [300, 1000, 2300])
@pytest.mark.parametrize("vertical", [False, True])
def test_a_line_of_heavy_rain_of_one_pixel_is_seen_wherever_it_lies(side: int, vertical: bool) -> None:
    for place in np.random.default_rng(side).integers(side // 10, side - side // 10, 12):
        field = np.zeros((side, side), np.float32)
        field[place] = 100.0
        picture, values = drawn(field.T if vertical else field, rain_colours(), 80)
        wet = (picture != 255).any(axis=2)
        assert wet.all(axis=0 if vertical else 1).any(), place
        assert values.max() == 100.0


def test_single_cells_of_heavy_rain_are_all_seen() -> None:
    field = np.zeros((2000, 2000), np.float32)
    centres = np.arange(150, 1850, 137)
    field[np.ix_(centres, centres)] = 200.0
    picture, _ = drawn(field, rain_colours(), 80)
    from scipy.ndimage import label

    assert label((picture != 255).any(axis=2))[1] == len(centres) ** 2


@pytest.mark.parametrize("colours", [rain_colours, probability_colours])
def test_no_rain_is_drawn_beside_a_gap_and_only_gaps_are_grey(
    colours: Callable[[], tuple[object, object]],
) -> None:
    field = np.zeros((1000, 1000), np.float32)
    field[400:600, 400:600] = np.nan
    field[500, ::2] = np.nan
    _, values = drawn(field, colours(), 80)
    assert np.nanmax(values) == 0.0
    assert np.isnan(values).mean() == pytest.approx(0.04, abs=0.004)


@pytest.mark.parametrize("resolution", [50, 110, 200])
def test_the_picture_has_the_maxima_of_its_own_resolution(resolution: int) -> None:
    field = np.random.default_rng(0).gamma(0.1, 5.0, (700, 700)).astype(np.float32)
    picture, values = drawn(field, rain_colours(), resolution)
    assert all(0 <= found - inside <= 4 for found, inside in zip(values.shape, picture.shape, strict=False))


def observed(
    minutes: list[float],
    *,
    shape: tuple[int, int] = (40, 60),
    pixel: float = 1000.0,
    shift: float = 0.0,
    crs: str | None = UTM,
    **attributes: str,
) -> xr.DataArray:
    x = 400e3 + pixel * np.arange(shape[1]) + shift
    y = 5600e3 - pixel * np.arange(shape[0])
    times = [START + np.timedelta64(round(60 * minute), "s") for minute in minutes]
    rate = np.ones((len(times), *shape), np.float32) * np.arange(len(times))[:, None, None]
    return observations(rate, times, Grid(x, y, crs), attributes)


def forecast_from(data: xr.DataArray, frames: int = 4) -> xr.Dataset:
    rate = np.zeros((2, frames, *data.shape[1:]), np.float32)
    return nowcast_dataset(rate, data, STEP, source="it", seed=0, settings="")


PAST = [-15.0, -10.0, -5.0, 0.0]
OTHERS = {
    "size": (observed([5.0], shape=(40, 61)), "40×60 pixels of 1000×1000 m.*40×61 pixels"),
    "pixel": (observed([5.0], pixel=1010.0), "of 1000×1000 m.*of 1010×1010 m"),
    "half a pixel aside": (observed([5.0], shift=500.0), "from x 400000, .*from x 400500, "),
    "zone": (observed([5.0], crs=UTM.replace("32", "33")), r"\+zone=32.*\+zone=33"),
    "projection": (observed([5.0], crs="EPSG:3035"), r"\+proj=utm.*\+proj=laea"),
    "place": (observed([5.0], place="f4"), "place f1.*place f4"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_observations_on_another_grid_are_refused_and_both_grids_named(kind: str, tmp_path: Path) -> None:
    other, message = OTHERS[kind]
    forecast = forecast_from(observed(PAST, place="f1"))
    with pytest.raises(
        ObservationError, match="expected observations on the grid of the forecast.*" + message
    ):
        plot_nowcast(forecast, tmp_path / "it.png", observations=other)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "same",
    [
        observed([5.0], shift=40.0),
        observed([5.0], crs=CRS.from_epsg(32632).to_wkt()),
        observed([5.0], crs=None),
        observed([5.0], place="f1"),
        observed([5.0])[:, ::-1],
        observed([5.0])[:, :, ::-1],
    ],
)
def test_a_grid_is_the_same_within_a_tenth_of_a_pixel_however_its_projection_is_written(
    same: xr.DataArray,
) -> None:
    title, field = ObservedBeside.of(same, forecast_from(observed(PAST))).at(START + STEP)
    assert title == "observed"
    assert field is not None


def test_only_what_comes_after_the_last_observation_is_not_observed_yet() -> None:
    data = observed([*PAST, 5.0, 15.0, 20.0])
    data[-1] = np.nan
    beside = ObservedBeside.of(data, forecast_from(observed(PAST), frames=5))
    titles = [beside.at(START + k * STEP)[0] for k in range(1, 6)]
    assert titles == ["observed", "no observation", "observed", "no observation", "not observed yet"]
    assert [beside.at(START + k * STEP)[1] is None for k in range(1, 6)] == [False, True, False, True, True]


def test_times_are_the_same_within_a_tenth_of_the_step() -> None:
    near, far = 0.49, 0.51  # of five minutes
    data = observed([*PAST[:3], near, 5 - near, 10 + near, 15 + far, 20 - far])
    beside = ObservedBeside.of(data, forecast_from(observed(PAST), frames=5))
    titles = [beside.at(START + k * STEP)[0] for k in range(1, 6)]
    assert titles == ["observed", "observed", "no observation", "not observed yet", "not observed yet"]
    shown = [field is not None and float(field.mean()) for _, field in map(beside.at, data["time"].values)]
    assert shown == list(range(len(data)))
    assert len(beside.until(START, 10)) == 4


def test_observations_are_drawn_beside_every_kind_of_picture(tmp_path: Path) -> None:
    data = observed([*PAST, 5.0, 15.0])
    for name in ("it.png", "it.gif"):
        plot_nowcast(forecast_from(observed(PAST)), tmp_path / name, observations=data)
        assert (tmp_path / name).stat().st_size > 1000
