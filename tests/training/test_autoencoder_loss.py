"""The intensity-structure loss, term by term."""

import math

import numpy as np
import pytest
import torch

from ssldm.model.scaling import IntensityScaling
from ssldm.training.autoencoder_loss import (
    AutoencoderLoss,
    AutoencoderLossConfig,
    autoencoder_loss,
    band_power,
    jaccard_distance,
    structural_similarity,
)


def loss_of(decoded: torch.Tensor, frames: torch.Tensor, observed: torch.Tensor) -> AutoencoderLoss:
    return autoencoder_loss(
        AutoencoderLossConfig(), IntensityScaling(), frames, decoded, observed, torch.zeros(len(frames))
    )


def test_autoencoder_loss_vanishes_for_a_perfect_reconstruction() -> None:
    frames = IntensityScaling().to_network(torch.rand(2, 1, 16, 16) * 20)
    loss = loss_of(frames, frames, torch.ones_like(frames))
    assert loss.total.item() == pytest.approx(0.0, abs=1e-6)


def test_autoencoder_loss_weighs_heavy_rain_and_ignores_the_unobserved() -> None:
    scaling = IntensityScaling()
    light, heavy = (scaling.to_network(torch.full((1, 1, 16, 16), r)) for r in (0.5, 20.0))
    observed = torch.ones(1, 1, 16, 16)
    assert (
        loss_of(heavy - 0.1, heavy, observed).intensity > 2 * loss_of(light - 0.1, light, observed).intensity
    )
    observed[..., 8:] = 0.0
    spoilt = heavy.clone()
    spoilt[..., 8:] = 3.0
    assert loss_of(spoilt, heavy, observed).total.item() == pytest.approx(0.0, abs=1e-6)


def test_structural_similarity_is_one_for_equal_and_low_for_opposite_images() -> None:
    x = (torch.rand(1, 1, 16, 16) > 0.5).float()
    assert structural_similarity(x, x, 7).min().item() == pytest.approx(1.0, abs=1e-5)
    assert structural_similarity(x, 1 - x, 7).mean() < 0.1


def test_structural_similarity_is_that_of_each_window() -> None:
    x, y = torch.rand(2, 3, 20, 24), torch.rand(2, 3, 20, 24)
    found = structural_similarity(x, y, 8)
    assert found.shape == (2, 3, 4, 5)
    for i, j in ((0, 0), (2, 3)):
        window = np.s_[..., 4 * i : 4 * i + 8, 4 * j : 4 * j + 8]
        torch.testing.assert_close(
            found[..., i, j], structural_similarity(x[window], y[window], 8)[..., 0, 0]
        )


def test_the_overlap_of_crisp_maps_is_the_critical_success_index() -> None:
    truth, approximation = torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
    truth[0, 0, 0, :4] = 1.0  # three hits, one miss
    approximation[0, 0, 0, 1:4] = 1.0
    approximation[1, 0, 5, 5] = 1.0  # one false alarm
    observed = torch.ones_like(truth)
    assert jaccard_distance(truth, approximation, observed).item() == pytest.approx(1 - 3 / 5)
    observed[1] = 0.0
    assert jaccard_distance(truth, approximation, observed).item() == pytest.approx(1 - 3 / 4)


def test_rain_below_none_is_hardly_an_error() -> None:
    frames, observed = torch.full((1, 1, 16, 16), -1.0), torch.ones(1, 1, 16, 16)
    below, above = loss_of(frames - 0.5, frames, observed), loss_of(frames + 0.5, frames, observed)
    assert below.intensity.item() == pytest.approx(0.05)
    assert above.intensity.item() == pytest.approx(0.5)
    assert below.spectrum == 0.0


def test_the_divergence_is_that_of_a_pixel() -> None:
    frames = torch.zeros(2, 1, 16, 16)
    loss = autoencoder_loss(
        AutoencoderLossConfig(kl=0.5),
        IntensityScaling(),
        frames,
        frames,
        torch.ones_like(frames),
        torch.tensor([256.0, 768.0]),
    )
    assert loss.kl.item() == pytest.approx(2.0)
    assert loss.total.item() == pytest.approx(1.0)


def test_the_spectrum_term_sees_blurring_and_not_shifting() -> None:
    torch.manual_seed(0)
    scaling = IntensityScaling()
    rate = torch.rand(2, 1, 64, 64) ** 4 * 20
    frames, observed = scaling.to_network(rate), torch.ones(2, 1, 64, 64)
    blurred = scaling.to_network(torch.nn.functional.avg_pool2d(rate, 5, stride=1, padding=2))
    assert loss_of(frames.roll(9, dims=-1), frames, observed).spectrum.item() == pytest.approx(0.0, abs=1e-4)
    assert loss_of(blurred, frames, observed).spectrum > 1.0
    # A quarter of the power is missing by ln 4, at every wavelength.
    halved = scaling.to_network(rate / 2)
    assert loss_of(halved, frames, observed).spectrum.item() == pytest.approx(math.log(4.0), rel=0.01)


def test_the_power_of_a_wave_is_in_its_band() -> None:
    wave = 3.0 * torch.cos(torch.arange(64) * 2 * math.pi / 8).expand(1, 64, 64)
    power = band_power(wave, (4.0, 16.0))  # 4, 5.7, 8, 11.3 and 16 pixels
    assert power.shape == (1, 5)
    assert int(power.argmax()) == 2
    assert power[0, 2] > 1000 * power[0, [0, 1, 3, 4]].max()
