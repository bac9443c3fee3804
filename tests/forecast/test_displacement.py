"""Random displacements: how large, how smooth, and what is taken from where."""

import pytest
import torch

from ssldm.forecast.advection import Region
from ssldm.forecast.displacement import Displacements, displaced, in_pixels
from ssldm.model.displacement import DisplacementConfig, unit_displacements


def units(count: int = 60, **changed: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return unit_displacements(count, 200, 260, DisplacementConfig(**changed), generator)


def test_units_have_unit_variance_and_no_mean_and_are_on_every_sixteenth_pixel() -> None:
    drawn = units()
    assert drawn.shape == (60, 2, 14, 18)  # the last ones at or beyond the last pixel
    assert float(drawn.var()) == pytest.approx(1.0, abs=0.06)
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.06)
    assert float(drawn.abs().max()) <= 3.0
    # As large at the edges as inside, and x knows nothing of y.
    assert float(drawn[..., 0].var()) == pytest.approx(1.0, abs=0.2)
    assert abs(float((drawn[:, 0] * drawn[:, 1]).mean())) < 0.06


@pytest.mark.parametrize("smoothing", [16.0, 48.0])
def test_units_are_as_smooth_as_asked_for(smoothing: float) -> None:
    """White noise under a Gaussian of deviation s has the correlation exp(-d²/4s²)."""
    drawn = units(smoothing=smoothing)
    for places in (1, 3):
        found = float((drawn[..., places:] * drawn[..., :-places]).mean() / drawn.square().mean())
        expected = float(torch.exp(torch.tensor(-((16.0 * places / smoothing) ** 2) / 4.0)))
        assert found == pytest.approx(expected, abs=0.08)


def test_a_field_is_taken_from_displaced_places() -> None:
    field = torch.rand(1, 40, 50, generator=torch.Generator().manual_seed(0))
    region = Region((40, 50), 10, 5, 20, 30)
    displacement = torch.tensor([4.0, -3.0])[None, :, None, None].expand(1, 2, 20, 30)
    found = displaced(field, torch.ones_like(field), displacement, region)
    torch.testing.assert_close(found, field[:, 7:27, 9:39])


def test_a_field_stays_as_it_is_where_it_would_come_from_the_unknown_or_from_outside() -> None:
    field = torch.rand(1, 40, 50, generator=torch.Generator().manual_seed(0))
    known = torch.ones_like(field)
    known[..., 20:30] = 0.0
    displacement = torch.tensor([8.0, 0.0])[None, :, None, None].expand(1, 2, 40, 50)
    found = displaced(field, known, displacement, Region.whole(40, 50))
    torch.testing.assert_close(found[..., 12:22], field[..., 12:22])
    torch.testing.assert_close(found[..., 42:], field[..., 42:])
    torch.testing.assert_close(found[..., :12], field[..., 8:20])


def test_the_members_of_a_pair_are_displaced_the_other_way_round() -> None:
    size = 96, 130
    displacements = Displacements(size, [0.8, 1.7], DisplacementConfig(), torch.device("cpu"))
    drawn = displacements.draw(seed=5)
    torch.testing.assert_close(drawn, displacements.draw(seed=5))
    assert not torch.equal(drawn, displacements.draw(seed=6))
    region = Region(size, 32, 16, 40, 50)
    pair = displacements.of_pair(drawn, 1, region)
    assert pair.shape == (2, 2, 40, 50)
    torch.testing.assert_close(pair[1], -pair[0])
    torch.testing.assert_close(pair[0], 1.7 * in_pixels(drawn, region, DisplacementConfig())[0])
    # On the places that they are drawn at, they are what was drawn.
    torch.testing.assert_close(pair[0, :, 0, 0], 1.7 * drawn[0, :, 2, 1])
    assert float(pair.abs().max()) <= displacements.farthest(1) == 6


def test_a_region_grows_as_far_as_the_domain_goes() -> None:
    region = Region((40, 50), 10, 5, 20, 30)
    wider = region.wider(8)
    assert wider == Region((40, 50), 2, 0, 36, 43)
    assert region.wider(100) == Region.whole(40, 50)
    assert region.within(wider) == Region((36, 43), 8, 5, 20, 30)
    field = torch.arange(2000.0).view(40, 50)
    torch.testing.assert_close(region.within(wider).of(wider.of(field)), region.of(field))
    assert Region.whole(40, 50).part(slice(32, 64), slice(0, 64)) == Region((40, 50), 32, 0, 8, 50)
