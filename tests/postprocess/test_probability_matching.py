"""Strong rain of members is drawn towards what was extrapolated, and nothing else is touched."""

import pytest
import torch

from ssldm.postprocess.probability_matching import ProbabilityMatching, ProbabilityMatchingConfig

FULL = ProbabilityMatchingConfig(power=1.0, kept=0.5)


def fields() -> tuple[torch.Tensor, torch.Tensor]:
    """A member with dry pixels, and extrapolated rain of half its amount."""
    rate = (6.0 * torch.rand(2, 80, 140, generator=torch.Generator().manual_seed(0)) - 2.0).clamp_min(0.0)
    return rate, 0.5 * rate


@pytest.mark.parametrize(("power", "strongest"), [(0.0, 1.0), (0.5, 0.5**0.5), (1.0, 0.5)])
def test_the_strongest_are_drawn_by_the_power(power: float, strongest: float) -> None:
    rate, extrapolated = fields()
    matched = ProbabilityMatching(extrapolated, ProbabilityMatchingConfig(power=power, kept=0.5))(rate)
    assert float(matched.max() / rate.max()) == pytest.approx(strongest, rel=0.011)
    assert (matched[rate == 0.0] == 0.0).all()
    # Half way from the median of what is wet, which is even, to the strongest: half of it.
    middle = (rate > 2.97) & (rate < 3.03)
    # But none is left stronger than the strongest.
    expected = min(strongest**0.5, 4.0 * strongest / 3.0)
    assert float((matched[middle] / rate[middle]).mean()) == pytest.approx(expected, rel=0.02)


def test_the_weaker_half_stays_as_it_is() -> None:
    rate, extrapolated = fields()
    matched = ProbabilityMatching(extrapolated, FULL)(rate)
    weak = rate < 1.95
    torch.testing.assert_close(matched[weak], rate[weak])
    assert (matched[rate > 2.1] < rate[rate > 2.1]).all()


def test_what_is_kept_may_be_nothing() -> None:
    rate, extrapolated = fields()
    matched = ProbabilityMatching(extrapolated, ProbabilityMatchingConfig(power=0.5))(rate)
    middle = (rate > 1.98) & (rate < 2.02)
    assert float((matched[middle] / rate[middle]).mean()) == pytest.approx(0.5**0.25, rel=0.01)


def test_a_member_of_that_distribution_stays_as_it_is() -> None:
    rate, _ = fields()
    shuffled = rate.flatten(1)[:, torch.randperm(80 * 140, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(ProbabilityMatching(shuffled.view_as(rate), FULL)(rate), rate)


def test_strong_rain_is_drawn_up_as_well() -> None:
    rate, extrapolated = fields()
    matched = ProbabilityMatching(rate, FULL)(extrapolated)
    assert float(matched.max() / extrapolated.max()) == pytest.approx(2.0, rel=0.011)
    weak = extrapolated < 0.95
    torch.testing.assert_close(matched[weak], extrapolated[weak])


def test_none_comes_to_rain_harder_than_a_stronger_one() -> None:
    """Though more is taken of the strongest: rain of nearly one rate, and hardly any extrapolated."""
    rate = torch.linspace(9.0, 10.0, 4000).view(1, 50, 80)
    matched = ProbabilityMatching(0.01 * rate, FULL)(rate).flatten()
    # But for a step of one per cent.
    assert (matched.cummax(dim=0).values < 1.011 * matched).all()
    assert float(matched[-1]) == pytest.approx(0.1, rel=0.02)


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
