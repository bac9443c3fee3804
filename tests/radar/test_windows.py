"""The windows of archives."""

import numpy as np
import pytest
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.regrid import coarsen
from ssldm.radar.windows import WindowIndex, rescaling, turn


def series(rate: np.ndarray, minutes: list[int] | None = None, product: str = "test") -> xr.DataArray:
    frames, height, width = rate.shape
    minutes = minutes or [5 * i for i in range(frames)]
    times = [np.datetime64("2020-01-01", "ns") + np.timedelta64(m, "m") for m in minutes]
    grid = Grid.from_edges((height, width), west=0, east=width, south=0, north=height, crs=None)
    return observations(rate, times, grid, {"product": product})


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


def test_one_and_a_half_pixels_are_averaged_by_their_area() -> None:
    rate = np.random.default_rng(0).random((1, 96, 96))
    index = WindowIndex([series(rate)], frames=1, size=64, step_minutes=5, coarsenings=(1.5,))
    (window,) = index.windows
    quarters = rate[0].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(
        index.read(window)[0], quarters.reshape(64, 3, 64, 3).mean(axis=(1, 3)), rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"multiple of 0\.5"):
        coarsen(rate, 1.2)


def test_windows_of_one_and_a_half_pixels_lie_anywhere() -> None:
    data = series(np.ones((1, 200, 200)))
    index = WindowIndex([data], frames=1, size=64, step_minutes=5, coarsenings=(1.5,))
    rng = np.random.default_rng(0)
    read = [index.read(index.draw(rng)) for _ in range(50)]
    assert all(np.array_equal(frames, np.ones((1, 64, 64))) for frames in read)


def test_coarsening_keeps_what_is_unobserved() -> None:
    rate = np.ones((4, 4), np.float32)
    rate[0, 0] = np.nan
    assert np.array_equal(np.isnan(coarsen(rate, 2)), [[True, False], [False, False]])


def test_the_eight_symmetries_differ_and_keep_every_pixel() -> None:
    square = np.arange(9.0).reshape(3, 3)
    turned = [turn(square, i) for i in range(8)]
    assert len({t.tobytes() for t in turned}) == 8
    assert all(np.array_equal(np.sort(t.ravel()), square.ravel()) for t in turned)


def test_corrected_windows_average_as_if_drawn_evenly() -> None:
    rng = np.random.default_rng(0)
    rate = np.where(rng.random((6, 64, 256)) < np.linspace(0.0, 1.0, 256), 3.0, 0.0)
    index = WindowIndex([series(rate)], frames=2, size=64, step_minutes=5)
    wetness = {window: float(index.read(window).mean()) for window in index.windows}
    evenly = np.mean(list(wetness.values()))
    drawn = [index.draw(rng) for _ in range(20_000)]
    plain = np.mean([wetness[index.windows[window.number]] for window in drawn])
    weights = np.array([index.correction(window) for window in drawn])
    at = [wetness[index.windows[window.number]] for window in drawn]
    corrected = np.average(at, weights=weights)
    assert plain > 1.2 * evenly
    assert corrected == pytest.approx(evenly, rel=0.02)
    assert weights.mean() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("cache_bytes", [0, 3 * 64 * 128 * 4, 1 << 30])
def test_windows_are_the_same_whatever_is_kept_in_memory(cache_bytes: int) -> None:
    rng = np.random.default_rng(0)
    rate = rng.random((9, 64, 128)).astype(np.float32)
    index = WindowIndex([series(rate)], frames=4, size=64, step_minutes=5, cache_bytes=cache_bytes)
    for _ in range(20):
        window = index.draw(rng)
        expected = rate[window.start : window.start + 4, :, window.column : window.column + 64]
        np.testing.assert_array_equal(index.read(window), expected)
        assert index._frames.used <= cache_bytes


def test_the_same_seed_gives_the_same_windows_in_any_worker() -> None:
    from ssldm.training.latent_cache import WindowDataset

    index = WindowIndex(
        [series(np.random.default_rng(0).random((9, 64, 128)))], frames=5, size=64, step_minutes=5
    )
    one, other = (WindowDataset(index, 4, seed=3, count=8) for _ in range(2))
    # Whoever reads example 5 first, and whatever was read before it, it is the same.
    first = one[5]["rate"]
    for n in range(5):
        other[n]
    assert (other[5]["rate"] == first).all()
    assert not (WindowDataset(index, 4, seed=4, count=8)[5]["rate"] == first).all()


def test_windows_lie_anywhere_in_the_domain() -> None:
    rate = np.broadcast_to(np.arange(100 * 90, dtype=np.float32).reshape(100, 90), (2, 100, 90))
    index = WindowIndex([series(rate)], frames=2, size=64, step_minutes=5)
    rng = np.random.default_rng(0)
    drawn = [index.draw(rng) for _ in range(2000)]
    assert {window.row for window in drawn} == set(range(33))
    assert {window.column for window in drawn} == set(range(27))
    for window in drawn[:20]:
        assert index.read(window)[0, 0, 0] == rate[0, window.row, window.column]


def test_windows_need_be_no_multiple_of_the_block() -> None:
    index = WindowIndex([series(np.ones((1, 128, 128)))], frames=1, size=96, step_minutes=5)
    rng = np.random.default_rng(0)
    assert {index.read(index.draw(rng)).shape for _ in range(50)} == {(1, 96, 96)}


def test_other_time_steps_are_thinned_or_coarsened_to_the_same_motion() -> None:
    every = {2.0: (2, 1), 5.0: (1, 1), 6.0: (1, 1), 10.0: (1, 2), 15.0: (1, 3), 1.0: (4, 1)}
    assert {minutes: rescaling(minutes, 5.0) for minutes in every} == every
    with pytest.raises(ObservationError, match="cannot stand for"):
        rescaling(1440.0, 5.0)


def test_a_rescaled_window_has_every_other_frame() -> None:
    rate = np.random.default_rng(0).random((8, 64, 64)).astype(np.float32)
    data = series(rate, [2 * i for i in range(8)])
    with pytest.raises(ObservationError, match="found none"):
        WindowIndex([data], frames=3, size=64, step_minutes=5)
    index = WindowIndex([data], frames=3, size=64, step_minutes=5, rescaled=True)
    assert [window.start for window in index.windows] == [0, 1, 2, 3]
    np.testing.assert_array_equal(index.read(index.windows[1]), rate[[1, 3, 5]])
    # 4 minutes for 5: a pixel of 1 m stands for one of 1.25 m, rounded; 10 minutes of 2 m for 5 of 1 m.
    wide = WindowIndex(
        [series(np.ones((3, 640, 640)), [0, 10, 20])], frames=3, size=64, step_minutes=5, rescaled=True
    )
    assert {window.coarsening for window in wide.windows} == {2}
    assert index.pixel_sizes == wide.pixel_sizes == (1, 1)


def test_a_short_window_is_unobserved_at_its_end() -> None:
    rate = np.ones((9, 64, 64))
    data = series(rate, [0, 5, 10, 20, 25, 30, 35, 40, 45])
    index = WindowIndex([data], frames=5, size=64, step_minutes=5, least_frames=3)
    assert [(w.start, w.frames) for w in index.windows] == [(0, 3), (3, 5), (4, 5), (5, 4), (6, 3)]
    read = index.read(index.windows[3])
    assert read.shape == (5, 64, 64)
    assert np.isfinite(read[:4]).all()
    assert np.isnan(read[4]).all()
