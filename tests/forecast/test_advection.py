"""The trajectories of pysteps, found once for many fields."""

from itertools import islice

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ssldm.forecast.advection import Region, carry, trajectory
from ssldm.forecast.condition import carry_context
from ssldm.radar.motion import SPACING, advect, refined

SIZE = (120, 150)


@pytest.fixture(scope="module")
def coarse() -> np.ndarray:
    """A motion of up to some pixels a step that turns within the domain."""
    rng = np.random.default_rng(0)
    places = [-(-length // SPACING) + 1 for length in SIZE]
    return np.stack([gaussian_filter(rng.normal(size=places), 1.5) * 12.0 for _ in range(2)]).astype(
        np.float32
    )


def test_fields_go_where_pysteps_takes_them(coarse: np.ndarray) -> None:
    field = np.random.default_rng(1).random(SIZE, np.float32)
    expected = advect(field, refined(coarse, SIZE), 8)
    assert 0.5 < np.isfinite(expected).mean() < 0.98
    whole = Region.whole(*SIZE)
    paths = torch.cat(list(islice(trajectory(torch.from_numpy(coarse)[None], whole, SPACING), 8)))
    moved = carry(torch.from_numpy(field).expand(8, 1, -1, -1), paths, whole)[:, 0].numpy()
    np.testing.assert_allclose(moved, np.nan_to_num(expected, nan=0.0), atol=1e-3)
    assert np.median(np.abs(paths[-1].numpy())) > 3.0


def test_a_region_is_cut_from_the_whole(coarse: np.ndarray) -> None:
    region = Region(SIZE, 40, 16, 56, 48)
    whole, part = (
        torch.cat(list(islice(trajectory(torch.from_numpy(coarse)[None], where, SPACING), 6)))
        for where in (Region.whole(*SIZE), region)
    )
    torch.testing.assert_close(part, whole[..., 40:96, 16:64])
    field = torch.rand(6, 1, *SIZE)
    torch.testing.assert_close(
        carry(field, part, region), carry(field, whole, Region.whole(*SIZE))[..., 40:96, 16:64]
    )


def uniform(x: float, y: float) -> torch.Tensor:
    return torch.tensor([x, y])[None, None, :, None, None].expand(1, 2, 2, 10, 10)


def test_context_frames_meet_at_each_lead_time() -> None:
    rng = torch.Generator().manual_seed(0)
    last = torch.rand(64, 64, generator=rng)
    # Each earlier frame lies two columns farther west; of whole pixels nothing is interpolated.
    context = torch.stack([torch.roll(last, -2 * age, dims=1) for age in (3, 2, 1, 0)])
    carried = carry_context(context[None], uniform(2.0, 0.0), [1, 5], 8)
    extrapolated = carried.extrapolated[0]
    torch.testing.assert_close(extrapolated[1, 0, :, 10:], last[:, :-10])
    assert not extrapolated[1, :, :, :10].any()
    assert carried.observed[0, 1, :, 10:].all()
    assert not carried.observed[0, 1, :, :10].any()
    history = carried.history[0].unflatten(1, (-1, 2))
    # Away from the western edge all frames lie on each other: no difference, and the same mean.
    assert float(history[:, :, 1, :, 2:].max()) < 1e-5
    torch.testing.assert_close(history[1, 0, 0, :, 3:], history[1, 6, 0, :, 3:])
    assert float(history[1, 0, 0].mean()) > 0.3


def test_unobserved_pixels_are_dry_and_spread_along_the_motion() -> None:
    context = torch.ones(4, 64, 64)
    context[1, 30, 20] = torch.nan
    carried = carry_context(context[None], uniform(0.5, 0.0), [1], 8)
    unobserved = ~carried.observed[0, 0]
    # The pixel itself, and the two that its half a pixel of motion takes it to.
    assert unobserved[30, 20:22].all()
    assert int(unobserved[:, 1:].sum()) == 2
    assert not carried.extrapolated[0, 0, :, unobserved].any()
    assert float(carried.coverage[0, 0, 0, 3, 2]) == pytest.approx(1.0 - 2.0 / 64.0)
