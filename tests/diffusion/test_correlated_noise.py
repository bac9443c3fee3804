"""Laws of correlated noise."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.diffusion.correlated_noise import CorrelatedNoise
from ssldm.errors import ObservationError
from ssldm.model.block_autoencoder import lapped_basis

SIDE, CHANNELS, FRAMES, SIZE = 8, 24, 6, 256


def smooth_fields(frames: int, generator: torch.Generator) -> Tensor:
    """Random fields ``(t, 1, SIZE, SIZE)`` with a steep spectrum, correlated by 0.9 from frame to frame."""
    white = torch.randn(frames, SIZE, SIZE, generator=generator)
    for frame in range(1, frames):
        white[frame] = 0.9 * white[frame - 1] + (1.0 - 0.9**2) ** 0.5 * white[frame]
    waves = torch.fft.fftfreq(SIZE)
    amplitude = 1.0 / (waves[:, None] ** 2 + waves**2 + 2e-3)
    return torch.fft.ifft2(torch.fft.fft2(white) * amplitude).real[:, None]


def steps_across(frames: Tensor) -> float:
    """Mean squared difference of neighbouring pixels across the edges of blocks, over that within blocks."""
    steps = frames.diff(dim=-1).square().mean(dim=(0, 1, 2))
    edges = torch.arange(len(steps)) % SIDE == SIDE - 1
    return (steps[edges].mean() / steps[~edges].mean()).item()


def test_fresh_it_leaves_white_noise_as_it_is() -> None:
    white = torch.randn(2, FRAMES, CHANNELS, 9, 8)
    assert torch.equal(CorrelatedNoise(CHANNELS, FRAMES, reach=2)(white), white[..., 2:-2, 2:-2])


def test_it_has_the_covariance_of_what_it_was_measured_on() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = lapped_basis(SIDE, CHANNELS, overlap=0)[..., 1, 1].T.reshape(-1, 1, SIDE, SIDE)
    coded = torch.stack([F.conv2d(smooth_fields(FRAMES, generator), basis, stride=SIDE) for _ in range(20)])
    deviation = coded.std(dim=(0, 1, 3, 4))[:, None, None]
    correlated = CorrelatedNoise(CHANNELS, FRAMES, reach=4)
    correlated.measure(coded / deviation)
    white = torch.randn(10, FRAMES, CHANNELS, 24, 24, generator=generator)
    noise = correlated(white)
    torch.testing.assert_close(noise.var(dim=(0, 1, 3, 4)), torch.ones(CHANNELS), atol=0.1, rtol=0.0)
    lagged = (noise[:, 1:] * noise[:, :-1]).mean(dim=(0, 1, 3, 4))
    torch.testing.assert_close(lagged, torch.full((CHANNELS,), 0.9), atol=0.08, rtol=0.0)

    def decoded(latents: Tensor) -> Tensor:
        return F.conv_transpose2d(latents * deviation, basis, stride=SIDE)

    fields, field_like, mosaic = (
        steps_across(decoded(latents.flatten(0, 1))) for latents in (coded / deviation, noise, white)
    )
    assert mosaic > 10.0 * fields
    assert field_like == pytest.approx(fields, rel=0.2)


def test_samples_too_small_for_the_kernel_are_refused() -> None:
    with pytest.raises(ObservationError, match="more than 8 latent pixels"):
        CorrelatedNoise(4, 2, reach=4).measure([torch.randn(2, 4, 8, 8)])
