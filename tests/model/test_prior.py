"""What is expected of rain: how it fades, what is never made up, and how uncertain it is."""

import pytest
import torch

from ssldm.model.prior import Expectation, Prior, PriorConfig

CHANNELS, HISTORY, BANDS, FRAMES = 5, 3, 4, 6
LEADS = torch.tensor([0, 2, 5])


def untrained() -> Prior:
    torch.manual_seed(0)
    return Prior(PriorConfig(width=8), CHANNELS, HISTORY, BANDS, FRAMES)


def trained() -> Prior:
    """One that says something, if nothing learned."""
    prior = untrained()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return prior


def rain(strength: float = 1.0) -> torch.Tensor:
    """Waves of both motions, ``(1, t, 2, c, h, w)``."""
    waves = torch.randn(1, len(LEADS), 2, CHANNELS, 24, 30, generator=torch.Generator().manual_seed(1))
    return strength * waves


@torch.no_grad()
def expected(prior: Prior, waves: torch.Tensor, coverage: torch.Tensor | None = None) -> Expectation:
    size = waves.shape[-2:]
    coverage = torch.ones(1, len(LEADS), 1, *size) if coverage is None else coverage
    expectation: Expectation = prior(waves, coverage, torch.zeros(1, len(LEADS), HISTORY, *size), LEADS)
    return expectation


def test_untrained_it_fades_the_mean_of_both_motions() -> None:
    waves = rain()
    found = expected(untrained(), waves)
    factor = torch.exp(-(LEADS + 1.0) / FRAMES)[None, :, None, None, None]
    torch.testing.assert_close(found.waves, factor * waves.mean(dim=2))
    assert found.log_deviation.shape == (1, len(LEADS), BANDS, 24, 30)


def test_what_is_added_comes_where_rain_is_and_hardly_where_none_is() -> None:
    prior = untrained()
    with torch.no_grad():
        prior.slope.zero_()
        prior.offset.fill_(1.0)

    def added(first: float) -> torch.Tensor:
        waves = torch.zeros_like(rain())
        waves[:, :, :, 0] = first
        return expected(prior, waves).waves

    assert 0.0 < float(added(0.0).max()) < 0.05
    torch.testing.assert_close(added(0.25), torch.full_like(added(0.25), 0.5), atol=0.01, rtol=0.0)
    assert float(added(10.0).min()) > 0.95


def test_what_is_not_covered_stays_dry_and_tells_nothing() -> None:
    coverage = torch.ones(1, len(LEADS), 1, 24, 30)
    coverage[..., 15:] = 0.0
    found = expected(trained(), rain(), coverage)
    assert not found.waves[..., 15:].any()
    assert found.waves[..., :15].any()
    other = rain()
    other[..., 15:] = 9.0
    told, changed = (expected(untrained(), waves, coverage) for waves in (rain(), other))
    torch.testing.assert_close(changed.waves, told.waves)
    torch.testing.assert_close(changed.log_deviation, told.log_deviation)


def test_the_deviation_of_every_band_grows_with_the_rain_and_even_rain_stays_even() -> None:
    prior = untrained()
    weak, strong = (expected(prior, rain(strength)).log_deviation for strength in (10.0, 20.0))
    torch.testing.assert_close(strong - weak, torch.full_like(weak, 2.0).log(), atol=0.01, rtol=0.0)
    even = torch.zeros_like(rain())
    even[:, :, :, 0] = 3.0
    # Away from the edges, where Gaussian means of a constant are that.
    found = expected(prior, even).log_deviation[..., 12, 15]
    none = expected(prior, torch.zeros_like(even)).log_deviation[..., 12, 15]
    torch.testing.assert_close(found, none, atol=0.1, rtol=0.0)


@pytest.mark.parametrize("wavelength", [6.0, 80.0])
def test_bands_vary_as_the_rain_of_their_scale(wavelength: float) -> None:
    """The finest band does as the waves within blocks, the coarsest as rain over many of them."""
    waves = torch.zeros(1, len(LEADS), 2, CHANNELS, 24, 160)
    waves[:, :, :, 0] = torch.sin(2.0 * torch.pi * torch.arange(160) / wavelength)
    deviation = expected(untrained(), waves).log_deviation[..., 12, 40:120].exp().mean(dim=(0, 1, 3))
    middle, coarse = deviation[-2:] / deviation[0]
    assert (middle > 3.0 * coarse) == (wavelength == 6.0)
    assert max(middle, coarse) > 3.0


def test_the_network_changes_deviations_by_no_more_than_a_bound() -> None:
    prior = untrained()
    before = expected(prior, rain()).log_deviation
    with torch.no_grad():
        prior.network.leave.bias.fill_(1e3)
    torch.testing.assert_close(expected(prior, rain()).log_deviation - before, torch.full_like(before, 3.0))
