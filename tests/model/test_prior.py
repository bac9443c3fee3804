"""What is expected: nothing out of nothing, even rain even, and ever less of what is not covered."""

import pytest
import torch

from ssldm.model.prior import Expectation, Prior, PriorConfig

CHANNELS, BANDS, FRAMES, HISTORY = 6, 4, 3, 5
SIDE = 48
# All bands, away from the edges.
CENTRE = slice(None), slice(16, 32), slice(16, 32)


@pytest.fixture
def prior() -> Prior:
    """An untrained one: its network says nothing, but its offset is not zero."""
    torch.manual_seed(0)
    prior = Prior(PriorConfig(width=8), CHANNELS, HISTORY, BANDS, FRAMES)
    with torch.no_grad():
        prior.offset.fill_(0.5)
    return prior


def expected(prior: Prior, waves: torch.Tensor, coverage: torch.Tensor | None = None) -> Expectation:
    """Of the same waves ``(c, h, w)`` along both motions at all lead times."""
    pair = waves.expand(1, FRAMES, 2, -1, -1, -1)
    covered = (
        torch.ones(1, FRAMES, 1, SIDE, SIDE) if coverage is None else coverage.expand(1, FRAMES, 1, -1, -1)
    )
    with torch.no_grad():
        found: Expectation = prior(
            pair, covered, torch.zeros(1, FRAMES, HISTORY, SIDE, SIDE), torch.arange(FRAMES)
        )
    return found


def test_nothing_comes_where_no_rain_is_around(prior: Prior) -> None:
    waves = torch.zeros(CHANNELS, SIDE, SIDE)
    waves[0, :8, :8] = 1.0
    found = expected(prior, waves).waves[0]
    assert float(found[:, :, 4, 4].min()) > 0.3
    # The means over neighbourhoods do not reach so far, and the offset is a hundredth of what it is in rain.
    assert float(found[:, :, 40:, 40:].abs().max()) < 0.04


def test_even_rain_is_less_uncertain_than_uneven_rain_of_the_same_strength(prior: Prior) -> None:
    generator = torch.Generator().manual_seed(0)
    even = torch.zeros(CHANNELS, SIDE, SIDE)
    even[0] = 1.0
    uneven = torch.randn(CHANNELS, SIDE, SIDE, generator=generator)
    uneven[0] = 1.0 + torch.randn(SIDE, SIDE, generator=generator)
    of_even, of_uneven = (expected(prior, waves).log_deviation[0, 0][CENTRE] for waves in (even, uneven))
    assert bool((of_uneven - of_even > 0.5).all())


def test_each_band_has_the_variability_of_its_own_waves(prior: Prior) -> None:
    """Finer ones that of waves within blocks, the third that of near blocks, the last that of far ones."""
    rows = torch.arange(SIDE, dtype=torch.float32)[:, None].expand(SIDE, SIDE)
    fields = torch.zeros(3, CHANNELS, SIDE, SIDE)
    fields[0, 1:] = 1.0
    fields[1, 0] = (torch.pi * rows).cos()
    fields[2, 0] = (2.0 * torch.pi * rows / 40.0).cos()
    fine, near, far = (
        expected(prior, waves).log_deviation[0, 0][CENTRE].mean(dim=(-2, -1)) for waves in fields
    )
    assert bool((fine[:2] > near[:2] + 2.0).all())
    assert bool((fine[:2] > far[:2] + 2.0).all())
    assert float(near[2]) > max(float(fine[2]), float(far[2])) + 0.5
    assert float(far[3]) > max(float(fine[3]), float(near[3])) + 0.5


def test_what_is_not_covered_is_not_expected(prior: Prior) -> None:
    coverage = torch.ones(SIDE, SIDE)
    coverage[:, 24:] = 0.0
    waves = torch.ones(CHANNELS, SIDE, SIDE)
    found = expected(prior, waves, coverage).waves[0]
    assert float(found[..., 24:].abs().max()) == 0.0
    # Means are those of what is covered: at its edge as inside.
    torch.testing.assert_close(
        found[..., :24], expected(prior, waves).waves[0, ..., :24], atol=0.02, rtol=0.0
    )
