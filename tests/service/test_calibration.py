"""Probabilities that are corrected by what came of the last hours' forecasts."""

import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer
from radar_feed import START, STEP, QuickModel, storm, write_frame

from ssldm.config_file import parsed
from ssldm.radar.observations import NAME
from ssldm.service.calibration import (
    PRIOR_FRAMES,
    calibrated,
    calibration_in,
    calibration_of,
    curve_of,
    with_calibration,
)
from ssldm.service.config import ServiceConfig
from ssldm.service.forecaster import Forecaster
from ssldm.service.series import Frames, of_point
from ssldm.service.skill import skill_of
from ssldm.service.store import RATE_STEP, Store
from ssldm.service.times import Clock, stamp_of

FRAMES = 12


def sums(*classes):
    """Probability, frequency and count of each class, as sums."""
    probability, frequency, count = np.array(classes, np.float64).T
    return probability * count, frequency * count, count


def test_a_curve_lies_between_forecast_and_frequency_by_the_number_of_frames():
    of = sums((0.0, 0.1, 100), (0.5, 0.3, 10), (1.0, 0.9, 10))
    curve = curve_of(*of, frames=PRIOR_FRAMES)
    assert curve["forecast"] == [0.0, 0.5, 1.0]
    assert curve["corrected"] == pytest.approx([0.0, 0.4, 0.95])  # 0 stays
    assert curve_of(*of, frames=5, prior_frames=0)["corrected"] == pytest.approx([0.0, 0.3, 0.9])


def test_a_curve_never_falls():
    of = sums((0.0, 0.0, 10), (0.2, 0.6, 10), (0.4, 0.2, 30), (0.9, 0.9, 10))
    corrected = curve_of(*of, frames=5, prior_frames=0)["corrected"]
    assert corrected == pytest.approx([0.0, 0.3, 0.3, 0.9])


def test_a_threshold_without_a_curve_and_no_calibration_change_nothing():
    probability = np.float32([0.0, 0.3, np.nan])
    calibration = {
        "frames": 1,
        "curves": [{"threshold": 2.0, "forecast": [0.0, 1.0], "corrected": [0.0, 0.5]}],
    }
    np.testing.assert_array_equal(calibrated(probability, None, 2.0), probability)
    np.testing.assert_array_equal(calibrated(probability, calibration, 0.5), probability)
    np.testing.assert_allclose(calibrated(probability, calibration, 2.0), [0.0, 0.15, np.nan])
    products = xr.Dataset(
        {"rate_probability": (("threshold", "x"), np.float32([[0.3], [0.3]]))}, {"threshold": [0.5, 2.0]}
    )
    found = with_calibration(products, calibration)["rate_probability"]
    np.testing.assert_allclose(found, [[0.3], [0.15]])
    assert with_calibration(products, None) is products


def test_frames_without_a_forecast_ask_for_nothing():
    assert calibration_of([]) is None
    empty = {name: [0.0] * 11 for name in ("forecast", "issued", "observed", "count")}
    assert calibration_of([{"reliability": [{"threshold": 1.0, **empty}]}]) is None


@pytest.fixture(params=[True, False], ids=["calibrated", "plain"])
def config(request, tmp_path):
    domain = {"name": "test", "watch": [str(tmp_path / "radar")], "members": 6}
    return parsed(
        ServiceConfig,
        {"domains": [domain], "store": str(tmp_path / "store"), "periods": [], "calibrate": request.param},
    )


def test_a_service_corrects_maps_and_points_and_is_judged_by_what_it_said(config, tmp_path):
    observed = storm(FRAMES)
    (tmp_path / "radar").mkdir()
    store = Store(config.store)
    running = Forecaster(config, store, Clock(), lambda _: QuickModel())
    try:
        for number in range(FRAMES):
            write_frame(observed, number, tmp_path / "radar")
            while running.round():
                pass
    finally:
        running.close()
    last = stamp_of(START + (FRAMES - 1) * STEP)
    forecast = store.forecast("test", last).load()
    calibration = calibration_in(forecast)
    assert store.cycle("test", last)["calibration"] == calibration
    assert (calibration is not None) is config.calibrate
    members = forecast[NAME].values
    for threshold in (float(each) for each in forecast["threshold"]):
        # The store rounds members.
        sure = (np.abs(members - threshold) > RATE_STEP).all(axis=0)
        plain = (members[:, sure] >= threshold).mean(axis=0)
        expected = calibrated(plain, calibration, threshold)
        issued = forecast["rate_probability"].sel(threshold=threshold).values[sure]
        np.testing.assert_allclose(issued, expected, atol=0.0051)
        assert (issued[plain == 0.0] == 0.0).all()
    shares = forecast["rate_probability"].sel(threshold=0.5).values[0]
    # Not next to the threshold at any lead time.
    sure = (np.abs(members - 0.5) > RATE_STEP).all(axis=(0, 1))
    row, column = np.argwhere(sure & (shares > 0.0) & (shares < 1.0))[0]
    to_degrees = Transformer.from_crs(forecast["crs"].attrs["crs_wkt"], "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(float(forecast["x"][column]), float(forecast["y"][row]))
    point = of_point(forecast, Frames(np.empty(0, "M8[ns]"), []), lat, lon)
    np.testing.assert_allclose(
        point.products["rate_probability"].sel(threshold=0.5).isel(point=0),
        forecast["rate_probability"].sel(threshold=0.5).isel(y=row, x=column),
        atol=0.0051,
    )
    records = store.records("test", "skill")
    differ = any(part["issued"] != part["forecast"] for record in records for part in record["reliability"])
    assert differ is config.calibrate
    (bins,) = [part["bins"] for part in skill_of(records)["reliability"] if part["threshold"] == 0.5]
    parts = [part for record in records for part in record["reliability"] if part["threshold"] == 0.5]
    said = sum(np.array(part["issued"]) for part in parts)
    count = sum(np.array(part["count"]) for part in parts)
    assert [bin_["forecast"] for bin_ in bins] == pytest.approx(list(said[count > 0] / count[count > 0]))
