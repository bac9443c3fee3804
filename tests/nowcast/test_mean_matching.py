"""Matching the mean of the surroundings: towards what was extrapolated, and nowhere else."""

import pytest
import torch

from ssldm.nowcast.mean_matching import MeanMatchingConfig, match_mean

ALL = torch.ones(2, 200, 140, dtype=torch.bool)


def fields() -> tuple[torch.Tensor, torch.Tensor]:
    """A member, and extrapolated rain of half its amount."""
    rate = 4.0 + torch.rand(2, 200, 140, generator=torch.Generator().manual_seed(0))
    return rate, 0.5 * rate


@pytest.mark.parametrize(("power", "expected"), [(0.0, 1.0), (0.5, 0.5**0.5), (1.0, 0.5)])
def test_the_mean_is_drawn_by_the_power(power: float, expected: float) -> None:
    rate, extrapolated = fields()
    matched = match_mean(rate, extrapolated, ALL, MeanMatchingConfig(power=power))
    torch.testing.assert_close(matched, expected * rate, rtol=0.01, atol=0.0)


def test_each_place_follows_its_own_surroundings() -> None:
    rate, _ = fields()
    extrapolated = rate.clone()
    extrapolated[..., :70] *= 3.0
    matched = match_mean(rate, extrapolated, ALL, MeanMatchingConfig(power=1.0, reach=8))
    torch.testing.assert_close(matched[..., :30], 3.0 * rate[..., :30], rtol=0.02, atol=0.0)
    torch.testing.assert_close(matched[..., 110:], rate[..., 110:], rtol=0.02, atol=0.0)


def test_unobserved_pixels_count_for_nothing() -> None:
    rate, extrapolated = fields()
    config = MeanMatchingConfig(power=1.0)
    observed = ALL.clone()
    observed[:, :50] = False
    changed, unknown = rate.clone(), extrapolated.clone()
    changed[:, :50] = 1000.0
    unknown[:, :50] = float("nan")
    expected = match_mean(rate, extrapolated, observed, config)[:, 50:]
    torch.testing.assert_close(match_mean(changed, unknown, observed, config)[:, 50:], expected)
    nothing = torch.zeros_like(ALL)
    torch.testing.assert_close(match_mean(rate, extrapolated, nothing, config), rate)


def test_no_rain_stays_finite() -> None:
    rate, _ = fields()
    config = MeanMatchingConfig(power=1.0)
    assert match_mean(torch.zeros_like(rate), rate, ALL, config).abs().max() == 0.0
    assert match_mean(rate, torch.zeros_like(rate), ALL, config).max() < 0.03


@pytest.mark.parametrize("reach", [10, 22, 64])
def test_a_flipped_member_is_matched_alike(reach: int) -> None:
    """Sides that blocks divide, as those are laid from the first row and column."""
    rate, extrapolated = (field[:, :, :136] for field in fields())
    extrapolated = extrapolated * torch.linspace(0.5, 2.0, 136)
    config = MeanMatchingConfig(power=1.0, reach=reach)
    observed = ALL[:, :, :136]
    flipped = match_mean(rate.flip(-1, -2), extrapolated.flip(-1, -2), observed, config)
    torch.testing.assert_close(flipped.flip(-1, -2), match_mean(rate, extrapolated, observed, config))
