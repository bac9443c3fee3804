"""Matching distributions: towards what was extrapolated, and nowhere else."""

import pytest
import torch

from ssldm.postprocess.probability_matching import ProbabilityMatching, ProbabilityMatchingConfig

FULL = ProbabilityMatchingConfig(power=1.0)


def fields() -> tuple[torch.Tensor, torch.Tensor]:
    """A member with dry pixels, and extrapolated rain of half its amount."""
    rate = (6.0 * torch.rand(2, 80, 140, generator=torch.Generator().manual_seed(0)) - 2.0).clamp_min(0.0)
    return rate, 0.5 * rate


@pytest.mark.parametrize(("power", "expected"), [(0.0, 1.0), (0.5, 0.5**0.5), (1.0, 0.5)])
def test_rates_are_drawn_by_the_power(power: float, expected: float) -> None:
    rate, extrapolated = fields()
    matched = ProbabilityMatching(extrapolated, ProbabilityMatchingConfig(power=power))(rate)
    strong = rate > 0.2
    torch.testing.assert_close(matched[strong], expected * rate[strong], rtol=0.011, atol=0.0)
    assert (matched[rate == 0.0] == 0.0).all()


def test_a_member_of_that_distribution_stays_as_it_is() -> None:
    rate, _ = fields()
    shuffled = rate.flatten(1)[:, torch.randperm(80 * 140, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(ProbabilityMatching(shuffled.view_as(rate), FULL)(rate), rate)


def test_the_distribution_is_that_of_the_extrapolation() -> None:
    rate, _ = fields()
    extrapolated = rate.flip(-1).square()
    matched = ProbabilityMatching(extrapolated, FULL)(rate)
    for share in (0.5, 0.9, 0.99, 1.0):
        torch.testing.assert_close(matched.quantile(share), extrapolated.quantile(share), rtol=0.03, atol=0.0)


def test_each_frame_has_its_own_distribution() -> None:
    rate, extrapolated = fields()
    extrapolated[1] *= 6.0
    matched = ProbabilityMatching(extrapolated, FULL)(rate)
    torch.testing.assert_close(matched.amax(dim=(1, 2)), extrapolated.amax(dim=(1, 2)), rtol=0.02, atol=0.0)


def test_unobserved_pixels_count_for_nothing_and_stay() -> None:
    rate, extrapolated = fields()
    half, unknown = rate.clone(), extrapolated.clone()
    half[:, :50] = float("nan")
    unknown[:, :30] = float("nan")
    matched = ProbabilityMatching(unknown, FULL)(half)
    assert matched[:, :50].isnan().all()
    expected = ProbabilityMatching(extrapolated[:, 30:], FULL)(rate[:, 50:])
    torch.testing.assert_close(matched[:, 50:], expected)
    nothing = torch.full_like(rate, float("nan"))
    torch.testing.assert_close(ProbabilityMatching(nothing, FULL)(rate), rate)


def test_no_rain_stays_finite() -> None:
    rate, _ = fields()
    assert ProbabilityMatching(rate, FULL)(torch.zeros_like(rate)).abs().max() == 0.0
    assert ProbabilityMatching(torch.zeros_like(rate), FULL)(rate).max() < 0.03
