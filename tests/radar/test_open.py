"""Reading of radar files: values, times, grids and masks, and what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from radar_files import write_fmi_pgm, write_knmi, write_meteoswiss, write_smhi

from ssldm.errors import ObservationError
from ssldm.radar.observations import time_step
from ssldm.radar.open import open_radar


def test_knmi_accumulations_become_rates(tmp_path: Path) -> None:
    values = np.array([[0, 100, 65535], [25, 0, 0]])
    write_knmi(tmp_path, "2010-08-26T03:05", values)
    write_knmi(tmp_path, "2010-08-26T03:00", values * 0)
    data = open_radar(tmp_path)
    assert data.dims == ("time", "y", "x")
    assert data.attrs["units"] == "mm h-1"
    assert list(data["time"].values.astype("M8[m]").astype(str)) == ["2010-08-26T03:00", "2010-08-26T03:05"]
    # Hundredths of a millimetre in five minutes, times twelve.
    np.testing.assert_allclose(data.values[1], [[0.0, 12.0, np.nan], [3.0, 0.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(data["x"], [500.0, 1500.0, 2500.0])
    np.testing.assert_allclose(data["y"], [-3650500.0, -3651500.0])
    assert "+a=6378137" in data["crs"].attrs["crs_wkt"] or "6378137" in data["crs"].attrs["crs_wkt"]


def test_smhi_bytes_become_rates(tmp_path: Path) -> None:
    values = np.zeros((2, 3, 4), np.uint8)
    values[0, 1, 2] = 150  # 0.4 · 150 - 30 = 30 dBZ
    data = open_radar(write_smhi(tmp_path, values))
    assert data.shape == (4, 2, 3)
    expected = (10.0**3 / 200.0) ** (1.0 / 1.6)
    assert float(data[2, 0, 1]) == pytest.approx(expected)
    assert float(data.sum()) == pytest.approx(expected)
    assert time_step(data) == np.timedelta64(5, "m")


def test_fmi_reflectivity_becomes_rates(tmp_path: Path) -> None:
    values = np.array([[0, 255], [124, 64]])
    data = open_radar(write_fmi_pgm(tmp_path, "201609281445", values))
    thirty, zero = ((10.0 ** (z / 10.0) / 223.0) ** (1.0 / 1.53) for z in (30.0, 0.0))
    np.testing.assert_allclose(data.values[0], [[0.0, np.nan], [thirty, zero]], rtol=1e-5)


def test_meteoswiss_colours_become_rates(tmp_path: Path) -> None:
    data = open_radar(write_meteoswiss(tmp_path, [0, 255, 120]))
    expected = 12.0 * (10.0 ** ((120 - 71.5) / 20.0) / 316.0) ** (1.0 / 1.5)
    np.testing.assert_allclose(data.values[0, 0, :3], [0.0, np.nan, expected], rtol=1e-5)
    assert str(data["time"].values[0])[:16] == "2015-05-15T15:45"


def refused(source: object, match: str) -> None:
    with pytest.raises(ObservationError, match=match):
        open_radar(source)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.h5", "nothing at")
    refused(str(tmp_path / "*.h5"), "nothing at")
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam")
    refused(tmp_path, r"letter.txt: expected one of the formats")
    good = write_knmi(tmp_path, "2010-08-26T03:00", np.zeros((4, 4)))
    cut = tmp_path / "cut.h5"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    refused(cut, "cut.h5: damaged or cut short")
    (tmp_path / "cut.pgm.gz").write_bytes(gzip.compress(b"P5 something")[:-12])
    refused(tmp_path / "cut.pgm.gz", "cut.pgm.gz")


def test_what_does_not_fit_together_is_named(tmp_path: Path) -> None:
    small = write_knmi(tmp_path, "2010-08-26T03:00", np.zeros((4, 4)))
    large = write_knmi(tmp_path, "2010-08-26T03:05", np.zeros((5, 4)))
    refused([small, large], "frames of one size, found 4×4 and 5×4")
    refused([small, small], "each time once, found 2010-08-26T03:00")
    refused([small, write_smhi(tmp_path, np.zeros((4, 4, 2), np.uint8))], "one product")
    frames = np.zeros((4, 4, 2), np.uint8)
    refused([write_smhi(tmp_path, frames), write_smhi(tmp_path, frames, place="f2")], "one place")


def test_unequal_steps_are_named(tmp_path: Path) -> None:
    for time in ("03:00", "03:05", "03:15"):
        write_knmi(tmp_path, f"2010-08-26T{time}", np.zeros((4, 4)))
    with pytest.raises(ObservationError, match="steps of 5, 10 minutes"):
        time_step(open_radar(tmp_path))
