"""Tiles: where they lie, and how much of each is taken."""

import torch

from ssldm.forecast.tiling import Blend, Tiling, in_pixels, squares


def test_a_tile_counts_less_towards_its_edges_and_neighbours_share_alike() -> None:
    """Linear over the overlap, so that two tiles' shares add up to the same everywhere between them."""
    weight = Tiling(height=8, width=40, size=24, overlap=8, stride=8).weight()
    assert weight.shape == (8, 24)
    across = weight[4] / weight[4].max()
    torch.testing.assert_close(across[:8], torch.arange(1.0, 9.0) / 9.0)
    torch.testing.assert_close(across[-8:] + across[:8], torch.ones(8))
    assert (across[8:-8] == 1.0).all()
    torch.testing.assert_close(weight, weight.flip(0, 1))


def test_tiles_overlap_by_as_much_as_asked_for_and_the_last_ends_with_the_domain() -> None:
    rows, columns = zip(*Tiling(height=16, width=100, size=40, overlap=8, stride=4), strict=True)
    assert {(each.start, each.stop) for each in rows} == {(0, 16)}
    assert [(each.start, each.stop) for each in columns] == [(0, 40), (32, 72), (60, 100)]
    (whole,) = Tiling(height=40, width=40, size=40, overlap=8, stride=4)
    assert whole == (slice(0, 40), slice(0, 40))


def test_a_coarser_tiling_has_the_same_tiles() -> None:
    fine = Tiling(height=64, width=160, size=64, overlap=16, stride=8)
    coarse = fine.scaled(8)
    assert [in_pixels(tile, 8) for tile in coarse] == list(fine)


def test_where_no_tile_lies_a_blend_is_zero() -> None:
    tiling = Tiling(height=8, width=16, size=8, overlap=0, stride=8)
    blend = Blend(tiling, (2,))
    blend.add((slice(0, 8), slice(0, 8)), torch.full((2, 8, 8), 3.0))
    expected = torch.zeros(2, 8, 16)
    expected[..., :8] = 3.0
    torch.testing.assert_close(blend.result(), expected)


def test_squares_cover_each_pixel_once() -> None:
    count = torch.zeros(20, 33)
    sides = set()
    for rows, columns in squares(20, 33, 16):
        count[rows, columns] += 1.0
        sides.add((rows.stop - rows.start, columns.stop - columns.start))
    assert (count == 1.0).all()
    assert sides == {(16, 16), (16, 1), (4, 16), (4, 1)}
