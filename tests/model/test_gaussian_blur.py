"""Gaussian means: weights that add up to one, and none beyond the edges, however large the map."""

import math

import pytest
import torch

from ssldm.model.gaussian_blur import gaussian_blur


@pytest.mark.parametrize("size", [(20, 70), (64, 128), (150, 193)])
def test_a_blur_is_a_sum_over_the_surroundings(size: tuple[int, int]) -> None:
    """Maps of one block, of whole blocks, and with a rest."""
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    kernel = torch.tensor([math.exp(-0.5 * (i / 3.0) ** 2) for i in range(-8, 9)])
    weights = torch.outer(kernel, kernel) / kernel.sum() ** 2
    expected = torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], weights[None, None], padding=8)
    torch.testing.assert_close(gaussian_blur(x, 3.0, truncate=2.5), expected[:, 0].view_as(x))
