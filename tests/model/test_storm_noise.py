"""Noise of the storm: unit variance in each band, the storm's direction, nothing else."""

import pytest
import torch

from ssldm.model.storm_noise import StormNoiseConfig, filtered, storm_filters


def stripes(angle: float, size: int = 128) -> torch.Tensor:
    """Bands of rain along a direction, with some roughness."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    across = columns * torch.sin(torch.tensor(angle)) + rows * torch.cos(torch.tensor(angle))
    waves = sum(torch.sin(2.0 * torch.pi * across / length) for length in (5.0, 9.0, 25.0, 70.0))
    return (waves * 0.2 + 0.3).clamp_min(0.0)


@pytest.fixture
def noise() -> torch.Tensor:
    config = StormNoiseConfig()
    filters = storm_filters(stripes(0.4)[None, None].expand(1, 4, -1, -1), config)[0]
    white = torch.randn(40, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    return filtered(white, filters)


def test_every_band_has_unit_variance_and_no_mean(noise: torch.Tensor) -> None:
    assert noise.shape == (40, 4, 128, 128)
    torch.testing.assert_close(noise.square().mean(dim=(0, 2, 3)), torch.ones(4), atol=0.15, rtol=0.0)
    assert float(noise.mean(dim=(2, 3)).abs().max()) < 1e-5


def test_bands_hold_their_wavelengths(noise: torch.Tensor) -> None:
    power = torch.fft.rfft2(noise).abs().square().mean(dim=0)
    number = torch.hypot(torch.fft.fftfreq(128)[:, None], torch.fft.rfftfreq(128))
    centroid = [float((number * each).sum() / each.sum()) for each in power]
    assert centroid == sorted(centroid, reverse=True)
    edges = StormNoiseConfig().edges
    assert centroid[0] > 1.0 / edges[0]
    assert 1.0 / edges[1] < centroid[1] < 1.0 / edges[0] + 0.05
    assert centroid[3] < 1.0 / edges[2] + 0.01
    # Half an octave beyond an edge, a band ends.
    assert float(power[0][number < 0.7 / edges[0] * 0.99].max()) < 1e-4 * float(power[0].max())


def test_noise_has_the_direction_of_the_rain(noise: torch.Tensor) -> None:
    def variation(field: torch.Tensor, angle: float) -> float:
        along_y, along_x = (torch.diff(field, dim=dim)[..., :127, :127] for dim in (-2, -1))
        direction = torch.tensor(angle)
        return float((along_x * torch.sin(direction) + along_y * torch.cos(direction)).square().mean())

    middle = noise[:, 1:3]
    assert variation(middle, 0.4) > 3.0 * variation(middle, 0.4 + torch.pi / 2)


def test_a_dry_context_gives_noise_without_direction_and_no_nan() -> None:
    filters = storm_filters(torch.zeros(1, 4, 64, 64), StormNoiseConfig())
    assert bool(filters.isfinite().all())
    square = filters[0, 1].square()
    torch.testing.assert_close(square[1:33, 0], square[0, 1:33], rtol=1e-3, atol=1e-5)


def test_odd_sizes_have_unit_variance_too() -> None:
    filters = storm_filters(torch.rand(1, 4, 57, 75), StormNoiseConfig())[0]
    white = torch.randn(200, 1, 57, 75, generator=torch.Generator().manual_seed(0))
    variance = filtered(white, filters).square().mean(dim=(0, 2, 3))
    torch.testing.assert_close(variance, torch.ones(4), atol=0.12, rtol=0.0)
