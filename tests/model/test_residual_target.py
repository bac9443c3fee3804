"""The residual that is sampled: fitted to examples of known statistics, undone again, alike when turned."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ssldm.model.frame_network import FrameNetworkConfig
from ssldm.model.residual_target import ResidualTarget
from ssldm.paper.merge_net import Condition, MergeNetConfig

CHANNELS, LEAD, SIDE = 3, 2, 24
SLOPES = torch.tensor([0.5, 0.3])
MERGE_NET = MergeNetConfig(latent_channels=CHANNELS, extrapolation=True, history=True)


def condition(latents: Tensor, coverage: Tensor) -> Condition:
    history = latents.new_zeros(*latents.shape[:2], MERGE_NET.history_channels, *latents.shape[-2:])
    return Condition(
        context_latent=latents,
        extrapolated_latent=latents,
        extrapolated_coverage=coverage,
        extrapolated_history=history,
    )


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
        latents[..., :4] = torch.randn_like(latents[..., :4])
        yield latents, observed, condition(extrapolated, coverage)


@pytest.fixture
def fitted() -> ResidualTarget:
    target = ResidualTarget(LEAD, MERGE_NET, [2.0])
    target.fit(examples())
    return target


@pytest.fixture
def learned(fitted: ResidualTarget) -> ResidualTarget:
    """With a network of random weights, but for those that tell neighbours apart: these are all alike."""
    target = ResidualTarget(LEAD, MERGE_NET, [2.0], FrameNetworkConfig(width=8, reaches=(1.0,)))
    target.load_state_dict(fitted.state_dict(), strict=False)
    generator = torch.Generator().manual_seed(0)
    for parameter in target.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
        if parameter.ndim == 4:
            parameter.data = parameter.data.mean(dim=(-2, -1), keepdim=True).expand_as(parameter).clone()
    return target


def test_the_regression_is_recovered_where_it_was_observed(fitted: ResidualTarget) -> None:
    expected = SLOPES[:, None, None].expand(-1, LEAD, CHANNELS)
    torch.testing.assert_close(fitted.slope, expected, atol=0.04, rtol=0.0)
    torch.testing.assert_close(fitted.offset, torch.full((LEAD, CHANNELS), 0.1), atol=0.04, rtol=0.0)
    torch.testing.assert_close(fitted.std, torch.full((LEAD, CHANNELS), 0.2), atol=0.01, rtol=0.0)


def test_residuals_are_standard_and_can_be_undone(fitted: ResidualTarget) -> None:
    latents, _, known = next(examples())
    expected = fitted(known)
    residual = expected.standardise(latents)
    seen = residual[..., :-4, :]
    assert float(seen.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(seen.std()) == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(expected.restore(residual), latents)


def test_an_untrained_network_changes_nothing(fitted: ResidualTarget) -> None:
    _, _, known = next(examples())
    fresh = ResidualTarget(LEAD, MERGE_NET, [2.0], FrameNetworkConfig(width=8))
    fresh.load_state_dict(fitted.state_dict(), strict=False)
    torch.testing.assert_close(fresh(known).mean, fitted(known).mean)
    torch.testing.assert_close(fresh(known).scale, fitted(known).scale)


def test_rain_that_changed_on_its_way_is_expected_otherwise(learned: ResidualTarget) -> None:
    _, _, known = next(examples())
    history = known.extrapolated_history
    assert history is not None
    changed = learned(replace(known, extrapolated_history=history + 1.0))
    assert not torch.allclose(changed.scale, learned(known).scale)
    assert not torch.allclose(changed.mean, learned(known).mean)


def test_some_lead_times_alone_are_expected_as_with_the_others(learned: ResidualTarget) -> None:
    _, _, known = next(examples())
    alone = learned(known.map(lambda x: x[:, 1:]), torch.tensor([[1]]))
    torch.testing.assert_close(alone.mean, learned(known).mean[:, 1:])
    torch.testing.assert_close(alone.scale, learned(known).scale[:, 1:])


def test_what_is_not_covered_is_not_read(fitted: ResidualTarget) -> None:
    latents, _, known = next(examples())
    assert known.extrapolated_latent is not None
    assert known.extrapolated_coverage is not None
    changed = known.extrapolated_latent.clone()
    changed[..., :4] = 50.0
    residuals = [
        fitted(condition(x, known.extrapolated_coverage)).standardise(latents)
        for x in (changed, known.extrapolated_latent)
    ]
    torch.testing.assert_close(*residuals)
    torch.testing.assert_close(residuals[0][..., :4], latents[..., :4])


@pytest.mark.parametrize("kind", ["fitted", "learned"])
def test_a_turned_window_has_the_turned_residual(kind: str, request: pytest.FixtureRequest) -> None:
    latents, _, known = next(examples())
    target: ResidualTarget = request.getfixturevalue(kind)

    def turned(x: Tensor) -> Tensor:
        return torch.rot90(x, 1, (-2, -1))

    residual = target(known.map(turned)).standardise(turned(latents))
    torch.testing.assert_close(residual, turned(target(known).standardise(latents)), atol=1e-4, rtol=1e-4)


def test_without_extrapolation_there_is_no_residual(fitted: ResidualTarget) -> None:
    _, _, known = next(examples())
    with pytest.raises(ValueError, match="needs extrapolated latents"):
        fitted(Condition(context_latent=known.context_latent))
