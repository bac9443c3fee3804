"""A script for pysteps' STEPS runs `ssldm` by changing one name."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from radar_files import write_knmi

from ssldm.errors import ConfigurationError
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.pysteps_plugin import forecast, import_ssldm_radar
from ssldm.radar.motion import estimate_motion
from ssldm.radar.open import open_radar
from ssldm.radar.simulation import simulate
from ssldm.verification.quiet_pysteps import pysteps_module

# As in the examples of pysteps, but for the name, which is an argument; nothing of this package is imported.
SCRIPT = """
import sys
import numpy as np
from pysteps import io, motion, nowcasts
from pysteps.utils import transformation

name, path, out = sys.argv[1:]
R = np.load(path)
R, _ = transformation.dB_transform(R, {"transform": None}, threshold=0.1, zerovalue=-15.0)
V = motion.get_method("LK")(R)
nowcast = nowcasts.get_method(name)
R_f = nowcast(
    R[-3:, :, :], V, 6, n_ens_members=4, n_cascade_levels=4, precip_thr=-10.0, kmperpixel=1.0, timestep=5,
    noise_method="nonparametric", vel_pert_method="bps", mask_method="incremental", seed=24,
)
np.save(out, transformation.dB_transform(R_f, threshold=-10.0, inverse=True)[0])
"""


def test_a_script_changes_one_name(tmp_path: Path) -> None:
    storm = simulate(10, (96, 96), seed=3).values
    np.save(tmp_path / "rain.npy", storm[:4])
    for name in ("steps", "ssldm"):
        command = [
            sys.executable,
            "-c",
            SCRIPT,
            name,
            str(tmp_path / "rain.npy"),
            str(tmp_path / f"{name}.npy"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    steps, ours = (np.load(tmp_path / f"{name}.npy") for name in ("steps", "ssldm"))
    assert ours.shape == steps.shape == (4, 6, 96, 96)
    # Nothing is said where the air comes from outside, which depends on the member in STEPS.
    assert (np.isnan(ours).all(axis=0) <= np.isnan(steps).any(axis=0)).mean() > 0.95
    assert np.isnan(ours).any()
    errors = [np.nanmean(np.abs(np.nanmean(found, axis=0) - storm[4:])) for found in (steps, ours)]
    assert errors[1] < 1.2 * errors[0]


@pytest.fixture(scope="module")
def rain() -> np.ndarray:
    rain = simulate(4, (64, 80), seed=1).values
    rain[:, 5:9, 5:9] = np.nan
    return rain


def test_rates_and_decibels_give_the_same_forecast(rain: np.ndarray) -> None:
    decibel = np.where(rain >= 0.1, 10.0 * np.log10(np.maximum(rain, 1e-9)), -15.0)
    decibel[np.isnan(rain)] = np.nan
    rain = np.where(rain >= 0.1, rain, np.where(np.isnan(rain), np.nan, 0.0))
    velocity = estimate_motion(rain)
    options = {"n_ens_members": 2, "seed": 1}
    rates, found = (forecast(given, velocity, 3, **options) for given in (rain, decibel))
    assert found.min(initial=0.0, where=~np.isnan(found)) == -15.0
    back = np.where(found > -15.0, 10.0 ** (found / 10.0), 0.0)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(rates))
    known = ~np.isnan(rates)
    np.testing.assert_allclose(
        back[known], np.where(rates > 10**-1.5, rates, 0.0)[known], rtol=1e-3, atol=0.04
    )


def test_it_is_the_nowcast_along_that_velocity(rain: np.ndarray) -> None:
    velocity = np.zeros((2, 64, 80), np.float32)
    velocity[0] = 2.0
    seen: list[np.ndarray] = []
    options = {"n_ens_members": 2, "seed": 4, "callback": seen.append, "measure_time": True}
    found, start, loop = forecast(rain, velocity, [1, 3], **options)
    assert min(start, loop) >= 0.0
    np.testing.assert_array_equal(np.stack(seen, axis=1), found)
    observations = simulate(4, (64, 80), seed=1).copy(data=rain)
    expected = Nowcaster.from_pretrained("small").nowcast(
        observations, members=2, seed=4, lead_time="15min", motion=velocity
    )
    np.testing.assert_array_equal(found, expected["precipitation_rate"].values[:, [0, 2]])
    # Air of three steps at two pixels came from outside.
    assert np.isnan(found[:, 1, :, :6]).all()
    assert np.isfinite(found[:, 1, 20:, 20:]).all()
    assert forecast(rain, velocity, 1, n_ens_members=2, return_output=False) is None


@pytest.mark.parametrize(
    ("frames", "size", "timesteps", "said"),
    [
        (1, 64, 3, "at least 2 frames"),
        (4, 65, 3, "expected velocity"),
        (4, 64, [1.5], "whole timesteps"),
        (4, 64, [2, 1], "ascending"),
        (4, 64, 0, "whole timesteps"),
    ],
)
def test_what_does_not_fit_is_refused(
    rain: np.ndarray, frames: int, size: int, timesteps: object, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        forecast(rain[:frames], np.zeros((2, size, 80)), timesteps)  # type: ignore[arg-type]


def test_the_importer_gives_what_pysteps_own_does(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 300, (30, 40))
    values[0, 0] = 65535
    path = write_knmi(tmp_path, "2010-08-26T03:00", values)
    rate, _, about = pysteps_module("io").get_method("ssldm_radar", "importer")(str(path))
    expected, _, theirs = pysteps_module("io.importers").import_knmi_hdf5(str(path))
    np.testing.assert_allclose(rate, 12.0 * np.ma.filled(expected, np.nan), rtol=1e-5)
    # Theirs is in kilometres.
    for name in ("x1", "x2", "y1", "y2"):
        assert about[name] == pytest.approx(1000.0 * theirs[name], abs=1.0)
    assert set(about) >= set(theirs) - {"product"}
    np.testing.assert_array_equal(import_ssldm_radar(str(path))[0], open_radar(path)[-1].values)
