"""Scores against their formula, written out."""

import numpy as np
import pytest

from ssldm.verification.baselines import BASELINES, Setting
from ssldm.verification.crps import crps_ensemble
from ssldm.verification.hindcast import Pooled, windows


def crps_by_pairs(members: np.ndarray, observed: float, norm: int) -> float:
    pairs = np.abs(members[:, None] - members[None, :]).sum()
    return np.abs(members - observed).mean() - 0.5 * pairs / norm


@pytest.mark.parametrize("fair", [False, True])
def test_crps_equals_the_sum_over_pairs(fair: bool) -> None:
    rng = np.random.default_rng(0)
    members, observed = rng.gamma(0.5, 2.0, (7, 3, 4)), rng.gamma(0.5, 2.0, (3, 4))
    scores = crps_ensemble(members, observed, fair=fair)
    norm = 7 * 6 if fair else 49
    for i, j in np.ndindex(3, 4):
        assert scores[i, j] == pytest.approx(crps_by_pairs(members[:, i, j], observed[i, j], norm), abs=1e-6)


def test_crps_of_one_member_is_the_absolute_error_and_nan_stays_nan() -> None:
    members = np.array([[[1.0, 2.0], [np.nan, 4.0]]])
    observed = np.array([[2.0, 2.0], [1.0, np.nan]])
    np.testing.assert_array_equal(crps_ensemble(members, observed), [[1.0, 0.0], [np.nan, np.nan]])


def test_pooled_scores_of_four_pixels() -> None:
    truth = np.array([[[0.0, 3.0], [3.0, 0.0]]], np.float32)
    forecast = np.array([[[[3.0, 3.0], [0.0, 0.0]]]], np.float32)
    pooled = Pooled(1)
    pooled.add("forecast", forecast, truth, np.ones_like(truth, bool))
    table = pooled.table()
    overall = table[table["lead_frame"] == 0]
    csi = overall[(overall["metric"] == "csi_mean") & (overall["threshold"] == 2.0)]["value"].item()
    assert csi == pytest.approx(1 / 3)  # one hit, one miss, one false alarm
    assert overall[overall["metric"] == "crps"]["value"].item() == pytest.approx(6.0 / 4)
    assert np.isnan(
        overall[(overall["metric"] == "csi_mean") & (overall["threshold"] == 8.0)]["value"].item()
    )


def test_pixels_that_do_not_count_change_nothing() -> None:
    rng = np.random.default_rng(0)
    truth, members = rng.random((2, 4, 4), np.float32), rng.random((3, 2, 4, 4), np.float32)
    valid = rng.random((2, 4, 4)) > 0.3
    tables = []
    for fill in (0.0, 50.0, np.nan):
        pooled = Pooled(2)
        pooled.add("a", np.where(valid, members, fill), np.where(valid, truth, fill), valid)
        tables.append(pooled.table()["value"].to_numpy())
    np.testing.assert_array_equal(tables[0], tables[1])
    np.testing.assert_array_equal(tables[0], tables[2])


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_forecast_storms_and_dry_air(name: str) -> None:
    from ssldm.radar.simulation import simulate

    storm = simulate(4, (96, 96), seed=1).values
    storm[:, :5, :5] = np.nan
    for context in (storm, np.zeros_like(storm)):
        setting = Setting(context, lead_frames=3, members=4, seed=0, step_minutes=5.0, pixel_km=1.0)
        forecast = BASELINES[name](setting)
        assert forecast.shape[1:] == (3, 96, 96)
        assert np.nanmin(forecast) >= 0.0
        assert np.isfinite(forecast).mean() > 0.5


def test_verification_windows_are_disjoint() -> None:
    from ssldm.radar.simulation import simulate

    storm = simulate(11, (70, 140), seed=1)
    found = list(windows([storm], frames=5, size=64))
    assert len(found) == 2 * 2
    assert all(window.shape == (5, 64, 64) for window in found)
    assert len({(str(w["time"].values[0]), float(w["x"][0])) for w in found}) == 4
