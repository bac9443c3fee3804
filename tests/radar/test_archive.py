"""Archives and the windows in them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import write_knmi, write_smhi

from ssldm.errors import ObservationError
from ssldm.radar.archive import archive_info, build_archive, open_archive
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.open import open_radar
from ssldm.radar.windows import WindowIndex, coarsen, turn


def series(rate: np.ndarray, minutes: list[int] | None = None, product: str = "test") -> xr.DataArray:
    frames, height, width = rate.shape
    minutes = minutes or [5 * i for i in range(frames)]
    times = [np.datetime64("2020-01-01", "ns") + np.timedelta64(m, "m") for m in minutes]
    grid = Grid.from_edges((height, width), west=0, east=width, south=0, north=height, crs=None)
    return observations(rate, times, grid, {"product": product})


def test_an_archive_holds_what_was_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for minute in (0, 5, 10):
        values = rng.integers(0, 300, (6, 7))
        values[0, 0] = 65535
        write_knmi(tmp_path / "in", f"2010-08-26T03:{minute:02}", values)
    out = tmp_path / "out.zarr"
    build_archive([str(tmp_path / "in")], out, start=np.datetime64("2010-08-26T03:05"))
    (stored,) = open_archive(out)
    expected = open_radar(tmp_path / "in").isel(time=slice(1, None))
    np.testing.assert_array_equal(stored.values, expected.values)
    np.testing.assert_array_equal(stored["time"].values, expected["time"].values)
    assert stored["crs"].attrs["crs_wkt"] == expected["crs"].attrs["crs_wkt"]
    assert stored.encoding["chunks"] == (1, 6, 7)
    with pytest.raises(ObservationError, match="expected a new archive"):
        build_archive([str(tmp_path / "in")], out)


def test_each_place_is_a_series_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_smhi(tmp_path / "in", np.zeros((4, 4, 2), np.uint8), place="f1")
    write_smhi(tmp_path / "in", np.full((4, 4, 2), 150, np.uint8), place="f2")
    write_smhi(tmp_path / "in", np.zeros((4, 4, 2), np.uint8), start="2021-05-11T03:00", place="f1")
    out = tmp_path / "out.zarr"
    build_archive([str(tmp_path / "in")], out)
    first, second = archive_info(out)
    assert (first.place, first.frames, first.gaps, first.wet_fraction) == ("f1", 4, 1, 0.0)
    assert (second.place, second.frames, second.gaps, second.wet_fraction) == ("f2", 2, 0, 1.0)


def test_windows_never_span_a_gap() -> None:
    data = series(np.ones((7, 64, 64)), [0, 5, 10, 20, 25, 30, 35])
    index = WindowIndex([data], frames=3, size=64, step_minutes=5)
    assert [window.start for window in index.windows] == [0, 3, 4]


def test_windows_are_drawn_by_their_rain_and_products_equally() -> None:
    rate = np.zeros((1, 64, 192))
    rate[:, :, 128:] = 1.0
    dry = series(np.zeros((1, 64, 64)), product="other")
    index = WindowIndex([series(rate), dry], frames=1, size=64, step_minutes=5, dry_weight=0.25)
    np.testing.assert_allclose(index.probability, [0.25 / 1.75 / 2, 0.25 / 1.75 / 2, 1.25 / 1.75 / 2, 0.5])
    rng = np.random.default_rng(0)
    drawn = [index.draw(rng) for _ in range(4000)]
    assert np.mean([w.series == 1 for w in drawn]) == pytest.approx(0.5, abs=0.03)


def test_windows_that_are_hardly_observed_are_left_out() -> None:
    rate = np.ones((2, 64, 128))
    rate[:, :, :40] = np.nan
    index = WindowIndex([series(rate)], frames=2, size=64, step_minutes=5, observed=0.5)
    assert [window.column for window in index.windows] == [64]


def test_a_coarse_window_is_the_mean_of_the_fine_one() -> None:
    rate = np.random.default_rng(0).random((1, 128, 128))
    index = WindowIndex([series(rate)], frames=1, size=64, step_minutes=5, coarsenings=(2,))
    (window,) = index.windows
    np.testing.assert_allclose(
        index.read(window)[0], rate[0].reshape(64, 2, 64, 2).mean(axis=(1, 3)), rtol=1e-5
    )


def test_coarsening_keeps_what_is_unobserved() -> None:
    rate = np.ones((4, 4), np.float32)
    rate[0, 0] = np.nan
    assert np.array_equal(np.isnan(coarsen(rate, 2)), [[True, False], [False, False]])


def test_the_eight_symmetries_differ_and_keep_every_pixel() -> None:
    square = np.arange(9.0).reshape(3, 3)
    turned = [turn(square, i) for i in range(8)]
    assert len({t.tobytes() for t in turned}) == 8
    assert all(np.array_equal(np.sort(t.ravel()), square.ravel()) for t in turned)
