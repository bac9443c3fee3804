"""The shipped weights: they load, they are small, they forecast better than nothing happening."""

from pathlib import Path

import numpy as np
import pytest

from ssldm.cli import main
from ssldm.forecast import unet_forecaster
from ssldm.forecast.dataset import open_nowcast
from ssldm.forecast.nowcaster import SHIPPED, Nowcaster
from ssldm.forecast.weights_folder import weights_at
from ssldm.radar.archive import open_archive
from ssldm.radar.archive_build import BuildOptions, build_archive
from ssldm.radar.observations import NAME
from ssldm.radar.simulation import simulate
from ssldm.verification.comparison import compare
from ssldm.verification.statistics import Protocol, scores_of
from ssldm.verification.windows import windows

UNET = Path(__file__).parents[1] / "experiments/unet"


@pytest.mark.parametrize(
    "folder", [*(weights_at(name, SHIPPED, {}) for name in SHIPPED), UNET], ids=lambda path: path.name
)
def test_shipped_weights_are_complete(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert (folder / "model.safetensors").stat().st_size <= 40e6


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_load(name: str) -> None:
    nowcaster = Nowcaster.from_pretrained(name, device="cpu")
    assert nowcaster.card is not None
    assert nowcaster.config.name == name


def test_the_unet_of_the_leaderboard_forecasts_rain_that_moves() -> None:
    storm = simulate(20, (128, 128), seed=3)
    truth = storm.values[4:]
    forecast = unet_forecaster.UNetForecaster.from_pretrained(UNET).forecast(storm[:4])[0]
    error = np.abs(forecast[:6] - truth[:6]).mean()
    assert error < np.abs(storm.values[3] - truth[:6]).mean()


def test_the_demo_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["demo", "--out", str(tmp_path), "--members", "4"])
    assert not end.value.code
    assert {p.name for p in tmp_path.iterdir()} == {"nowcast.nc", "nowcast.gif", "nowcast.png", "scores.csv"}
    assert "simulated" in capsys.readouterr().out
    assert open_nowcast(tmp_path / "nowcast.nc").attrs["observations"] == "simulated storm"


@pytest.mark.slow
def test_small_beats_simple_forecasts_on_an_unseen_event(real_data: Path, tmp_path: Path) -> None:
    """On a validation window of the Dutch composite."""
    from ssldm.verification.baselines import BASELINES, Setting

    build_archive(real_data / "knmi_h5", tmp_path / "a.zarr", BuildOptions(start="2010-08-26T05:35"))
    nowcaster = Nowcaster.from_pretrained("small")
    series = open_archive(tmp_path / "a.zarr")
    (window, *_) = windows(series, frames=20, size=256)
    data = window.of(series, 20).load()
    context = data.isel(time=slice(0, 4))
    setting = Setting.of(context, lead_frames=16, members=8, seed=0)
    forecasts = {
        "small": nowcaster.nowcast(context, members=8)[NAME].values,
        "persistence": BASELINES["persistence"](setting),
        "extrapolation": BASELINES["extrapolation"](setting),
    }
    statistics = compare(forecasts, data.isel(time=slice(4, None)), Protocol())
    crps = {
        name: scores_of(sums.sum("lead_time"))["crps"].sel(pool=1).item() for name, sums in statistics.items()
    }
    assert crps["small"] < min(crps["persistence"], crps["extrapolation"])
