"""Speckle goes, showers stay."""

import numpy as np
from numpy.testing import assert_array_equal

from ssldm.radar.speckle import remove_speckle


def _frames(*cells: tuple[int, int]) -> np.ndarray:
    rate = np.zeros((2, 12, 12), np.float32)
    for row, column in cells:
        rate[0, row, column] = 40.0
    return rate


def test_lone_pixels_and_pairs_are_set_dry() -> None:
    cleaned = remove_speckle(_frames((2, 2), (6, 6), (6, 7), (0, 11)))
    assert_array_equal(cleaned, np.zeros((2, 12, 12)))
    assert cleaned.dtype == np.float32


def test_a_shower_of_three_pixels_stays_and_frames_do_not_help_each_other() -> None:
    rate = _frames((5, 5), (5, 6), (6, 5))
    rate[1, 6, 6] = 40.0
    cleaned = remove_speckle(rate)
    assert_array_equal(cleaned[0], rate[0])
    assert not cleaned[1].any()


def test_what_is_unobserved_stays_so_and_is_no_neighbour() -> None:
    rate = _frames((5, 5))
    rate[0, 4:7, 4:7] = np.nan
    rate[0, 5, 5] = 40.0
    cleaned = remove_speckle(rate)
    assert_array_equal(np.isnan(cleaned), np.isnan(rate))
    assert cleaned[0, 5, 5] == 0.0


def test_rain_below_the_wet_limit_is_left() -> None:
    rate = np.zeros((1, 5, 5), np.float32)
    rate[0, 2, 2] = 0.05
    assert_array_equal(remove_speckle(rate), rate)
