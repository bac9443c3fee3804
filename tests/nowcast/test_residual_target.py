"""The residual that is sampled: fitted to examples of known statistics, undone again, alike when turned."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ssldm.nn.intensity_scaling import IntensityScaling
from ssldm.nn.merge_net import Condition
from ssldm.nowcast.residual_target import ResidualTarget, mean_square_change

CHANNELS, LEAD, SIDE = 3, 2, 24
SLOPES = torch.tensor([0.5, 0.3])


def condition(latents: Tensor, coverage: Tensor) -> Condition:
    return Condition(context_latent=latents, extrapolated_latent=latents, extrapolated_coverage=coverage)


def smooth(x: Tensor) -> Tensor:
    """Gaussian mean of a deviation of two, by another way than the code's."""
    from scipy.ndimage import gaussian_filter

    sigma = (0, 0, 0, 2, 2)
    return torch.from_numpy(gaussian_filter(x.double().numpy(), sigma, mode="constant", truncate=2.5)).float()


def examples(count: int = 12) -> Iterator[tuple[Tensor, Tensor, Condition]]:
    """z = 0.5 z_ext + 0.3 times its mean over a neighbourhood + 0.1 + 0.2 times normal numbers."""
    torch.manual_seed(0)
    for _ in range(count):
        extrapolated = torch.randn(1, LEAD, CHANNELS, SIDE, SIDE) + 1.0
        coverage = torch.ones(1, LEAD, 1, SIDE, SIDE)
        coverage[..., :4] = 0.0
        observed = torch.ones_like(coverage)
        observed[..., -4:, :] = 0.5
        means = smooth(extrapolated * coverage) / smooth(coverage).clamp_min(0.05)
        noise = 0.2 * torch.randn_like(extrapolated)
        latents = SLOPES[0] * extrapolated + SLOPES[1] * means + 0.1 + noise
        latents[..., -4:, :] = 100.0
        yield latents, observed, condition(extrapolated, coverage)


@pytest.fixture
def fitted() -> ResidualTarget:
    target = ResidualTarget(CHANNELS, LEAD, [2.0])
    target.fit(examples)
    return target


def test_the_regression_is_recovered_where_it_was_observed(fitted: ResidualTarget) -> None:
    expected = SLOPES[:, None, None].expand(-1, LEAD, CHANNELS)
    torch.testing.assert_close(fitted.slope, expected, atol=0.04, rtol=0.0)
    torch.testing.assert_close(fitted.offset, torch.full((LEAD, CHANNELS), 0.1), atol=0.04, rtol=0.0)
    torch.testing.assert_close(fitted.std, torch.full((LEAD, CHANNELS), 0.2), atol=0.01, rtol=0.0)


def test_residuals_are_standard_and_can_be_undone(fitted: ResidualTarget) -> None:
    latents, _, known = next(examples())
    residual = fitted.standardise(latents, known)
    seen = residual[..., :-4, :]
    assert float(seen.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(seen.std()) == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(fitted.restore(residual, known), latents)


def test_what_is_not_covered_is_not_read(fitted: ResidualTarget) -> None:
    latents, _, known = next(examples())
    assert known.extrapolated_latent is not None
    assert known.extrapolated_coverage is not None
    changed = known.extrapolated_latent.clone()
    changed[..., :4] = 50.0
    residuals = [
        fitted.standardise(latents, condition(x, known.extrapolated_coverage))[..., 4:]
        for x in (changed, known.extrapolated_latent)
    ]
    torch.testing.assert_close(*residuals)


def test_a_turned_window_has_the_turned_residual(fitted: ResidualTarget) -> None:
    latents, _, known = next(examples())

    def turned(x: Tensor) -> Tensor:
        return torch.rot90(x, 1, (-2, -1))

    residual = fitted.standardise(turned(latents), known.map(turned))
    torch.testing.assert_close(residual, turned(fitted.standardise(latents, known)), atol=1e-4, rtol=1e-4)


def test_without_extrapolation_there_is_no_residual(fitted: ResidualTarget) -> None:
    latents, _, known = next(examples())
    with pytest.raises(ValueError, match="needs extrapolated latents"):
        fitted.standardise(latents, Condition(context_latent=known.context_latent))


def changing_examples(count: int = 64) -> Iterator[tuple[Tensor, Tensor, Condition]]:
    """Noise of deviation 0.3 e^0.4 where rain changed by e, from 0.1 to 10 and alike over a neighbourhood."""
    torch.manual_seed(1)
    for _ in range(count):
        extrapolated = torch.randn(1, LEAD, CHANNELS, SIDE, SIDE)
        one = torch.ones(1, LEAD, 1, SIDE, SIDE)
        change = one * 10.0 ** (2.0 * torch.rand(()) - 1.0)
        latents = 0.5 * extrapolated + 0.3 * change**0.4 * torch.randn_like(extrapolated)
        yield latents, one, replace(condition(extrapolated, one), extrapolated_change=change)


def test_a_local_scale_follows_how_much_rain_changed() -> None:
    target = ResidualTarget(CHANNELS, LEAD, [], scale_reach=2.0)
    target.fit(changing_examples)
    torch.testing.assert_close(target.exponent, torch.full((LEAD, CHANNELS), 0.8), atol=0.05, rtol=0.0)
    for latents, _, known in changing_examples(4):
        residual = target.standardise(latents, known)
        assert float(residual.std()) == pytest.approx(1.0, abs=0.07)
        torch.testing.assert_close(target.restore(residual, known), latents)
    with pytest.raises(ValueError, match="needs the extrapolated change"):
        target.standardise(latents, replace(known, extrapolated_change=None))


def test_change_is_that_of_moved_rain_and_nothing_where_unobserved() -> None:
    scaling = IntensityScaling()
    moved, previous = torch.zeros(2, 16, 16), torch.zeros(2, 16, 16)
    moved[0, :8, :8] = 8.0
    moved[1, :, 8:] = float("nan")
    previous[1, :8, :8] = float("nan")
    change = mean_square_change(moved, previous, scaling, 8)
    expected = (scaling.to_network(torch.tensor(8.0)) - scaling.to_network(torch.tensor(0.0))) ** 2
    assert change.shape == (2, 1, 2, 2)
    assert change[0, 0, 0, 0] == pytest.approx(float(expected), rel=1e-5)
    assert change.count_nonzero() == 1
