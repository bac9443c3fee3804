"""A classifier of members against observations: of one kind, of others, of too few, by lead time."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ssldm.verification.case import Case
from ssldm.verification.two_sample import TILE, area_under_roc, features_of, quarters, tiles_of


def rain(rng: np.random.Generator, *shape: int, width: float = 3.0, strength: float = 1.5) -> np.ndarray:
    noise = gaussian_filter(rng.normal(size=shape), width, axes=(-2, -1))
    return np.exp(strength * noise / noise.std()).astype(np.float32)


def areas(windows: int = 10, **kind: float) -> dict[int, float]:
    rng = np.random.default_rng(0)
    return area_under_roc(
        [tiles_of(Case.of(rain(rng, 3, 4, 128, 128, **kind), rain(rng, 4, 128, 128))) for _ in range(windows)]
    )


def test_members_of_the_same_kind_are_not_told_apart() -> None:
    found = areas()
    assert found[0] == pytest.approx(0.5, abs=0.08)
    assert sorted(found) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", [{"width": 4.0}, {"width": 2.5}, {"strength": 1.8}, {"strength": 1.2}])
def test_those_of_another_texture_or_strength_are(kind: dict[str, float]) -> None:
    assert areas(**kind)[0] > 0.7


def test_each_lead_time_has_its_own() -> None:
    """Members that are blurred in the second half of the lead times only."""
    rng = np.random.default_rng(1)
    windows = []
    for _ in range(16):
        members, truth = rain(rng, 3, 4, 128, 128), rain(rng, 4, 128, 128)
        members[:, 2:] = rain(rng, 3, 2, 128, 128, width=4.5)
        windows.append(tiles_of(Case.of(members, truth)))
    found = area_under_roc(windows)
    assert max(found[1], found[2]) < found[0] < min(found[3], found[4])


def test_a_memory_of_tiles_is_of_no_use() -> None:
    """Few tiles with many features: told apart among those that were seen, not among others."""
    assert areas(windows=4)[0] < 0.7


def test_too_few_tiles_tell_nothing() -> None:
    assert np.isnan(areas(windows=1)[0])
    dry = np.zeros((4, 128, 128), np.float32)
    assert np.isnan(area_under_roc([tiles_of(Case.of(dry[None], dry))] * 3)[0])


def test_tiles_count_whole_and_wet() -> None:
    rng = np.random.default_rng(2)
    members, truth = rain(rng, 1, 8, 130, 128), rain(rng, 8, 130, 128)
    truth[3, 10, 10] = np.nan  # frame 4 has three tiles that count
    truth[5, :TILE, :TILE] = 0.0  # frame 6 has a dry one
    found = tiles_of(Case.of(members, truth))
    forecast, lead = found["tile_forecast"].values, found["tile_lead_frame"].values
    assert [int((forecast & (lead == n)).sum()) for n in (2, 4, 6, 8)] == [4, 3, 4, 4]
    assert [int((~forecast & (lead == n)).sum()) for n in (2, 4, 6, 8)] == [4, 3, 3, 4]
    assert found.sizes["tile"] == len(forecast) == 29


def test_features_are_finite_of_any_wet_tile() -> None:
    even, pixel = np.full((TILE, TILE), 0.5), np.zeros((TILE, TILE))
    pixel[:7] = 0.2
    for tile in (even, pixel, 100.0 * even):
        assert np.isfinite(features_of(tile)).all()


def test_quarters_of_lead_times() -> None:
    assert [quarters(count) for count in (16, 8, 3, 1)] == [[4, 8, 12, 16], [2, 4, 6, 8], [1, 2, 3], [1]]
