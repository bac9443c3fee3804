"""Speckle goes, showers stay."""

import torch

from ssldm.forecast.speckle import remove_speckle


def _frames(*cells: tuple[int, int]) -> torch.Tensor:
    rate = torch.zeros(2, 12, 12)
    for row, column in cells:
        rate[0, row, column] = 40.0
    return rate


def test_lone_pixels_and_pairs_are_set_dry() -> None:
    cleaned = remove_speckle(_frames((2, 2), (6, 6), (6, 7), (0, 11)))
    assert torch.equal(cleaned, torch.zeros(2, 12, 12))


def test_a_shower_of_three_pixels_stays_and_frames_do_not_help_each_other() -> None:
    rate = _frames((5, 5), (5, 6), (6, 5))
    rate[1, 6, 6] = 40.0
    cleaned = remove_speckle(rate)
    assert torch.equal(cleaned[0], rate[0])
    assert not cleaned[1].any()


def test_what_is_unobserved_stays_so_and_is_no_neighbour() -> None:
    rate = _frames((5, 5))
    rate[0, 4:7, 4:7] = torch.nan
    rate[0, 5, 5] = 40.0
    cleaned = remove_speckle(rate)
    assert torch.equal(cleaned.isnan(), rate.isnan())
    assert cleaned[0, 5, 5] == 0.0


def test_rain_below_the_wet_limit_is_left() -> None:
    rate = torch.zeros(1, 5, 5)
    rate[0, 2, 2] = 0.05
    assert torch.equal(remove_speckle(rate), rate)


def test_frames_of_any_shape_are_cleaned_alike() -> None:
    rate = torch.rand(3, 2, 9, 7, generator=torch.Generator().manual_seed(0)) - 0.7
    rate = rate.clamp_min(0.0)
    apart = torch.stack([remove_speckle(frames) for frames in rate])
    assert (apart != rate).any()
    assert torch.equal(remove_speckle(rate), apart)
