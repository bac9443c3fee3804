"""SAL: perfect, displaced, doubled, spread and broken rain, dry frames, and beside pysteps."""

import numpy as np
import pytest
from pysteps.verification.salscores import sal

from ssldm.verification.case import Case
from ssldm.verification.sal import sal_scores, sal_sums


def components(member: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    sums = sal_sums(Case.of(member[None, None], truth[None]))
    return {
        name.removeprefix("sal_"): value.item() for name, value in sal_scores(sums.sum("lead_time")).items()
    }


def cells(width: float, *places: tuple[int, int]) -> np.ndarray:
    """Round cells of 20 mm/h."""
    y, x = np.mgrid[:128, :128]
    rate = sum(20.0 * np.exp(-((y - i) ** 2 + (x - j) ** 2) / (2 * width**2)) for i, j in places)
    return np.asarray(np.where(rate >= 0.1, rate, 0.0), np.float32)


def test_a_perfect_forecast_has_none() -> None:
    truth = cells(6.0, (40, 30), (90, 90))
    assert components(truth, truth) == dict.fromkeys(components(truth, truth), 0.0)


def test_each_component_tells_what_it_is_for() -> None:
    truth = cells(6.0, (64, 64))
    assert components(2.0 * truth, truth) == pytest.approx(
        {
            "structure": 0.0,
            "amplitude": 2 / 3,
            "location": 0.0,
            "structure_error": 0.0,
            "amplitude_error": 2 / 3,
        },
        abs=1e-6,
    )
    displaced = components(np.roll(truth, (5, 12), (0, 1)), truth)
    assert displaced["location"] == pytest.approx(13.0 / np.hypot(128, 128), rel=1e-3)
    assert displaced["structure"] == displaced["amplitude"] == pytest.approx(0.0, abs=1e-6)
    wider = components(cells(12.0, (64, 64)), truth)
    # Four times the area of the same strength: V and D of four times the value.
    assert wider["structure"] == pytest.approx(1.2, rel=0.02)
    assert wider["amplitude"] == pytest.approx(1.2, rel=0.02)
    broken = truth.copy()
    broken[::4], broken[:, ::4] = 0.0, 0.0
    assert components(broken, truth)["structure"] < -1.5


def test_signs_cancel_in_the_mean_and_not_in_the_magnitude() -> None:
    truth = np.stack([cells(6.0, (64, 64))] * 2)
    members = truth * np.float32([2.0, 0.5])[:, None, None]
    found = sal_scores(sal_sums(Case.of(members[None], truth)).sum("lead_time"))
    assert float(found["sal_amplitude"]) == pytest.approx(0.0, abs=1e-6)
    assert float(found["sal_amplitude_error"]) == pytest.approx(2 / 3, rel=1e-5)


def test_frames_that_are_dry_on_one_side_do_not_count() -> None:
    truth, dry = cells(6.0, (64, 64)), np.zeros((128, 128), np.float32)
    assert np.isnan(components(dry, truth)["structure"])
    assert np.isnan(components(truth, dry)["location"])


def test_it_is_that_of_pysteps_where_objects_are_the_same() -> None:
    truth, member = cells(9.0, (30, 34), (90, 80)), 1.3 * cells(7.0, (40, 30), (88, 92))
    found = components(member, truth)
    expected = sal(member.astype(float), truth.astype(float))
    assert [found[name] for name in ("structure", "amplitude", "location")] == pytest.approx(
        expected, abs=5e-3
    )
