"""Motion and extrapolation of fields whose motion is known."""

import numpy as np
import pytest

from ssldm.radar.motion import SPACING, advect, estimate_motion, extrapolate, mean_motion, refined
from ssldm.radar.simulation import StormConfig, simulate
from ssldm.verification.quiet_pysteps import pysteps_module


def moving_storm(frames: int, wind: tuple[float, float]) -> np.ndarray:
    config = StormConfig(wind=wind, lifetime=1e6, growth_period=1e6, slope=4.0)
    return simulate(frames, (128, 128), seed=3, config=config).values


def test_extrapolation_follows_a_storm_that_only_moves() -> None:
    storm = moving_storm(12, (2.0, -1.0))
    forecast = extrapolate(storm[:4], 8)
    error = np.nanmean(np.abs(forecast.rate - storm[4:]))
    persistence = np.mean(np.abs(storm[3] - storm[4:]))
    assert error < 0.5 * persistence
    np.testing.assert_allclose(np.median(forecast.motion, axis=(1, 2)), [2.0, -1.0], atol=0.3)


def test_a_second_estimate_of_the_motion_finds_it_too() -> None:
    context = moving_storm(4, (2.0, -1.0))
    # Were the tracked motion zero, the mean of both would be half of what the search finds.
    searched = 2.0 * mean_motion(context, np.zeros((2, 128, 128), np.float32))
    np.testing.assert_allclose(np.median(searched, axis=(1, 2)), [2.0, -1.0], atol=0.3)
    tracked = estimate_motion(context)
    np.testing.assert_allclose(mean_motion(context, tracked), 0.5 * (tracked + searched), atol=1e-5)
    small = tracked[:, :16, :16]
    assert mean_motion(context[:, :16, :16], small) is small


def test_around_a_shower_in_dry_air_the_search_finds_its_motion() -> None:
    """Where nothing is seen to move, nothing is taken for air at rest."""
    rows, columns = np.mgrid[:160, :160]
    frames = [
        20.0 * np.exp(-((rows - 80 + step) ** 2 + (columns - 76 - 3 * step) ** 2) / 100.0)
        for step in range(4)
    ]
    context = np.where(np.stack(frames) > 0.1, np.stack(frames), 0.0).astype(np.float32)
    searched = 2.0 * mean_motion(context, np.zeros((2, 160, 160), np.float32))
    np.testing.assert_allclose(searched[:, 79, 80], [3.0, -1.0], atol=0.5)
    np.testing.assert_allclose(searched[:, 79, 120], [3.0, -1.0], atol=1.0)


def test_the_smallest_domains_have_a_motion_too() -> None:
    for seed in range(12):
        for size in ((24, 24), (32, 32), (16, 200)):
            motion = estimate_motion(simulate(4, size, seed=seed).values)
            assert motion.shape == (2, *size)
            assert np.isfinite(motion).all()


def test_air_from_outside_is_not_forecast() -> None:
    forecast = extrapolate(moving_storm(4, (2.0, 0.0)), 8)
    assert np.array_equal(np.isnan(forecast.rate), ~forecast.observed)
    assert not forecast.observed[-1, 64, 4]  # came from 12 pixels west of the edge
    assert forecast.observed[-1, 64, 60]


def test_what_one_context_frame_did_not_see_is_not_forecast() -> None:
    context = moving_storm(4, (2.0, 0.0))
    context[1, 60:70, 60:70] = np.nan
    forecast = extrapolate(context, 8)
    assert not forecast.observed[:, 60:70, 60:70].any()
    assert not forecast.observed[3, 65, 74]  # moved out of the hole
    assert forecast.observed[3, 65, 56]  # upwind of the hole


def test_still_air_is_forecast_everywhere() -> None:
    context = np.zeros((4, 32, 32), np.float32)
    context[0, 5, 5] = np.nan
    forecast = extrapolate(context, 3)
    assert (~forecast.observed).sum() == 3
    assert np.nanmax(forecast.rate) == 0.0


def test_storms_are_seeded() -> None:
    np.testing.assert_array_equal(simulate(3, (32, 48), seed=1).values, simulate(3, (32, 48), seed=1).values)
    assert not np.array_equal(simulate(3, (32, 48), seed=1).values, simulate(3, (32, 48), seed=2).values)
    assert float(simulate(3, (32, 48)).min()) >= 0.0


@pytest.mark.parametrize("seed", range(4))
def test_motion_is_that_of_pysteps(seed: int) -> None:
    """The same corners, vectors and interpolation, with the numbers that pysteps has for its default."""
    context = simulate(4, (160, 200), seed=seed).values
    context[:, 0] = 0.0  # pysteps sees no corners in the first row
    decibel = np.where(context < 0.1, -15.0, 10.0 * np.log10(np.maximum(context, 1e-6)))
    track = pysteps_module("motion.lucaskanade").dense_lucaskanade
    places, vectors = track(decibel, dense=False, verbose=False)
    places, vectors = pysteps_module("utils.cleansing").decluster(places, vectors, 20)
    interpolate = pysteps_module("utils.interpolate").idwinterp2d
    x, y = (np.arange(0, size + SPACING - 1, SPACING) for size in (200, 160))
    expected = refined(interpolate(places, vectors, x, y, nchunks=1), (160, 200))
    found = estimate_motion(context)
    assert np.abs(found).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_advection_is_that_of_pysteps() -> None:
    rng = np.random.default_rng(0)
    field, motion = rng.random((40, 50)), rng.normal(size=(2, 40, 50)).astype(np.float32)
    expected = pysteps_module("extrapolation.semilagrangian").extrapolate(
        field, motion.astype(np.float64), 6, interp_order=1
    )
    np.testing.assert_allclose(advect(field, motion, 6), expected, atol=1e-6)
    assert np.isnan(expected).any()
