"""No rain from nowhere: how far members may rain from what is extrapolated."""

import numpy as np

from ssldm.postprocess.reach import within_reach


def one_pixel(row: int, column: int, rate: float = 1.0) -> np.ndarray:
    field = np.zeros((3, 40, 50), np.float32)
    field[:, row, column] = rate
    return field


def test_the_reach_grows_with_lead_time() -> None:
    near = within_reach([one_pixel(20, 20)], 2.5)
    assert [int(frame[20, 20:].sum()) for frame in near] == [1 + 5, 1 + 7, 1 + 10]
    rows, columns = np.mgrid[:40, :50]
    np.testing.assert_array_equal(near[2], np.hypot(rows - 20, columns - 20) <= 10.0)


def test_each_way_of_extrapolating_counts_and_drizzle_and_the_unobserved_do_not() -> None:
    unobserved = one_pixel(5, 5, np.nan) + one_pixel(35, 45, 0.05)
    near = within_reach([one_pixel(20, 20), unobserved], 1.0)
    np.testing.assert_array_equal(near, within_reach([one_pixel(20, 20)], 1.0))
    both = within_reach([one_pixel(20, 20), one_pixel(5, 5)], 1.0)
    np.testing.assert_array_equal(both, near | within_reach([one_pixel(5, 5)], 1.0))


def test_without_rain_there_is_none() -> None:
    fading = one_pixel(20, 20)
    fading[1] = 0.0
    assert within_reach([fading], 100.0).any(axis=(1, 2)).tolist() == [True, False, True]
