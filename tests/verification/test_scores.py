"""Scores against their formula, written out."""

import numpy as np
import pytest
import xarray as xr

from ssldm.verification.baselines import BASELINES, FellBack, Setting, _decibel
from ssldm.verification.comparison import compare
from ssldm.verification.crps import crps_ensemble
from ssldm.verification.statistics import Protocol, scores_of
from ssldm.verification.table import COLUMNS, all_scores, tidy_table


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


def observed_at_once(rate: np.ndarray) -> xr.DataArray:
    return xr.DataArray(rate, dims=("time", "y", "x"), coords={"time": np.zeros(1, "M8[ns]")})


def test_scores_of_four_pixels_in_the_table() -> None:
    truth = np.array([[[0.0, 3.0], [3.0, 0.0]]], np.float32)
    forecast = np.array([[[[3.0, 3.0], [0.0, 0.0]]]], np.float32)
    statistics = compare({"a": forecast}, observed_at_once(truth), Protocol())
    table = tidy_table(all_scores({"a": statistics["a"].expand_dims("event")}), {2.0: "moderate"})
    assert list(table.columns) == list(COLUMNS)

    def value(metric: str, threshold: float | None = None) -> float:
        rows = table[(table["metric"] == metric) & (table["lead_frame"] == 0) & (table["scale"] == 1)]
        return float((rows if threshold is None else rows[rows["threshold"] == threshold])["value"].item())

    assert value("csi_mean", 2.0) == pytest.approx(1 / 3)  # one hit, one miss, one false alarm
    assert value("crps") == pytest.approx(6.0 / 4)
    assert np.isnan(value("csi_mean", 8.0))
    assert np.isnan(value("crps_fair"))  # of one member
    assert set(table.loc[table["threshold"] == 2.0, "threshold_name"]) == {"moderate"}
    assert table["lower"].isna().all()  # one event
    assert set(table["windows"]) == set(table["events"]) == {1}


def test_a_pixel_counts_where_every_contestant_has_a_forecast() -> None:
    rng = np.random.default_rng(0)
    whole = rng.random((3, 1, 4, 4), np.float32)
    part = np.where(rng.random((4, 4)) > 0.3, whole, np.nan)
    truth = observed_at_once(rng.random((1, 4, 4), np.float32))
    one = compare({"a": whole, "b": part}, truth, Protocol())
    xr.testing.assert_identical(one["a"].drop_vars("coverage"), one["b"].drop_vars("coverage"))
    kept = np.isfinite(part).all(axis=0).mean()
    for name, expected in (("a", 1.0), ("b", kept)):
        scores = scores_of(one[name].sum("lead_time"))
        assert float(scores["coverage"]) == pytest.approx(expected)
        assert float(scores["counted"]) == pytest.approx(kept)


def contexts() -> dict[str, np.ndarray]:
    """Storms, and fields in which there is little or nothing to fit."""
    from ssldm.radar.simulation import simulate

    storm = simulate(4, (96, 96), seed=1).values
    storm[:, :5, :5] = np.nan
    half, ending, spot, speckle = storm.copy(), storm.copy(), np.zeros_like(storm), np.zeros_like(storm)
    half[:, :, :48] = np.nan
    ending[-1] = 0.0
    spot[:, 40:44, 40:44] = 5.0
    speckle[np.random.default_rng(0).random(storm.shape) < 0.002] = 4.0
    return {
        "storm": storm,
        "half unobserved": half,
        "ending": ending,
        "dry": np.zeros_like(storm),
        "still spot": spot,
        "speckle": speckle,
        "uniform": np.full_like(storm, 3.0),
    }


@pytest.mark.filterwarnings("ignore::ssldm.verification.baselines.FellBack")
@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_forecast_storms_and_fields_without_structure(name: str) -> None:
    for kind, context in contexts().items():
        setting = Setting(context, lead_frames=3, members=4, seed=0, step_minutes=5.0, pixel_km=1.0)
        forecast = BASELINES[name](setting)
        assert forecast.shape == (4 if name in ("steps", "linda") else 1, 3, 96, 96), kind
        assert np.nanmin(forecast) >= 0.0, kind
        assert np.isfinite(forecast).mean() > 0.4, kind


def test_a_baseline_that_cannot_be_fitted_says_so() -> None:
    setting = Setting(contexts()["uniform"], lead_frames=2, members=4, seed=0, step_minutes=5.0, pixel_km=1.0)
    with pytest.warns(FellBack, match="steps: extrapolation instead"):
        found = BASELINES["steps"](setting)
    np.testing.assert_array_equal(found, BASELINES["extrapolation"](setting).repeat(4, axis=0))


@pytest.mark.filterwarnings("error::ssldm.verification.baselines.FellBack")
@pytest.mark.parametrize("name", ["sprog", "steps"])
def test_a_storm_is_not_extrapolated_where_a_baseline_can_be_fitted(name: str) -> None:
    storm = contexts()["storm"]
    setting = Setting(storm, lead_frames=2, members=2, seed=0, step_minutes=5.0, pixel_km=1.0)
    found = BASELINES[name](setting)
    assert not np.allclose(found[0], BASELINES["extrapolation"](setting)[0], atol=0.05, equal_nan=True)


def test_a_few_wet_pixels_are_too_dry_to_fit_anything_to() -> None:
    context = np.zeros((4, 64, 64), np.float32)
    context[:, 30, 30:32] = 5.0
    setting = Setting(context, lead_frames=2, members=2, seed=0, step_minutes=5.0, pixel_km=1.0)
    with pytest.warns(FellBack, match="too dry"):
        BASELINES["steps"](setting)


def test_baselines_get_decibels_as_pysteps_makes_them() -> None:
    from pysteps.utils.transformation import dB_transform

    context = contexts()["half unobserved"]
    setting = Setting(context, lead_frames=2, members=2, seed=0, step_minutes=5.0, pixel_km=1.0)
    expected, _ = dB_transform(np.nan_to_num(context[1:], nan=0.0), threshold=0.1, zerovalue=-15.0)
    np.testing.assert_allclose(_decibel(setting), expected, atol=1e-5)
