"""Lead times beyond those that a model was trained for, and forecasts in longer steps."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from test_storm_ensemble import rate, storm_model

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.forecast.dataset import open_nowcast, write_nowcast
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.outlook import Outlook
from ssldm.model.carried import Carried
from ssldm.model.prior import Expectation
from ssldm.model.storm_model import StormModel


@pytest.fixture(scope="module")
def nowcaster() -> Nowcaster:
    """Of a model with six lead times of five minutes."""
    return Nowcaster(storm_model(), "tiny storm", device="cpu")


def test_a_longer_forecast_begins_as_the_trained_one(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    trained, longer, longest = (
        rate(nowcaster.nowcast(storm, members=3, seed=2, lead_time=until))
        for until in (None, "45min", "70min")
    )
    assert trained.shape[1] == 6
    np.testing.assert_array_equal(longer[:, :6], trained)
    np.testing.assert_array_equal(longest[:, :9], longer)
    assert np.isfinite(longest[:, -1]).any()


def test_later_lead_times_are_expected_as_the_last_trained_one(
    nowcaster: Nowcaster, storm: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    expected = StormModel.expected

    def noted(model: StormModel, carried: Carried, leads: torch.Tensor) -> Expectation:
        asked.extend(leads.tolist())
        return expected(model, carried, leads)

    monkeypatch.setattr(StormModel, "expected", noted)
    nowcaster.nowcast(storm, members=2, lead_time="45min")
    assert asked == [0, 1, 2, 3, 4, 5, 5, 5, 5]


def test_displacements_grow_on_evenly() -> None:
    model = storm_model()
    deviations = Outlook(model, (64, 64), (8, 8), 9).displacements.deviations
    trained = model.prior.displacement.exp().tolist()
    np.testing.assert_allclose(deviations[:6], trained)
    np.testing.assert_allclose(deviations[6:], [trained[-1] * lead / 6 for lead in (7, 8, 9)])


def test_lazy_lead_times_are_those_of_the_whole(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    options = {"members": 3, "seed": 2, "lead_time": "70min"}
    whole, lazy = (nowcaster.nowcast(storm, lazy=lazy, **options) for lazy in (False, True))
    np.testing.assert_array_equal(rate(lazy.isel(lead_time=slice(8, 10))), rate(whole)[:, 8:10])
    np.testing.assert_array_equal(rate(lazy), rate(whole))


def test_three_hours_are_the_end(nowcaster: Nowcaster, storm: xr.DataArray) -> None:
    with pytest.raises(ObservationError, match="up to 180 min, found 185 min"):
        nowcaster.nowcast(storm, members=1, lead_time="185min")


def test_longer_steps_hold_the_means_of_their_frames(
    nowcaster: Nowcaster, storm: xr.DataArray, tmp_path: Path
) -> None:
    frames = nowcaster.nowcast(storm, members=2, lead_time="40min")
    steps = nowcaster.nowcast(storm, members=2, lead_time="40min", output_step="15min", lazy=True)
    write_nowcast(steps, tmp_path / "n.nc")
    steps = open_nowcast(tmp_path / "n.nc")
    minutes = steps["lead_time"] / np.timedelta64(1, "m")
    assert minutes.values.tolist() == [15.0, 30.0]
    assert (steps["lead_time_bounds"] / np.timedelta64(1, "m")).values.tolist() == [[0.0, 15.0], [15.0, 30.0]]
    np.testing.assert_array_equal(steps["valid_time"], frames["valid_time"][[2, 5]])
    assert steps["precipitation_rate"].attrs["cell_methods"] == "lead_time: mean"
    expected = rate(frames)[:, :6].reshape(2, 2, 3, *storm.shape[1:]).mean(axis=2)
    np.testing.assert_allclose(rate(steps), expected, atol=1e-5)
    np.testing.assert_allclose(
        steps.ssldm.accumulation("30min").isel(lead_time=1),
        frames.ssldm.accumulation("30min").isel(lead_time=5),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(("step", "said"), [("7min", "whole time steps"), ("60min", "within the forecast")])
def test_steps_that_do_not_fit_are_refused(
    nowcaster: Nowcaster, storm: xr.DataArray, step: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        nowcaster.nowcast(storm, members=1, lead_time="30min", output_step=step)
