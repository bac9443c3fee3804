"""Laws of the block autoencoder."""

import pytest
import torch
from random_weights import randomise

from ssldm.model.block_autoencoder import BlockAutoencoderConfig, lapped_basis
from ssldm.model.scaling import IntensityScaling


@torch.no_grad()
def test_an_untrained_block_autoencoder_codes_the_lowest_frequencies_and_keeps_the_dry_dry() -> None:
    config = BlockAutoencoderConfig(width=8, latent_channels=4, side=4, overlap=0, patch=2)
    dry = torch.full((1, 1, 32, 32), -1.0)
    torch.testing.assert_close(config.build().encode(dry)[0], torch.zeros(1, 4, 8, 8))
    torch.testing.assert_close(config.build().decode(torch.zeros(1, 4, 8, 8)), dry)
    linear = config.model_copy(update={"fit_steps": 0}).build()
    noise = torch.randn(1, 1, 256, 256)
    kept = linear.decode(linear.encode(noise)[0])
    assert kept.var().item() == pytest.approx(4 / 16, abs=0.02)
    torch.testing.assert_close(linear.encode(kept)[0], linear.encode(noise)[0])


@torch.no_grad()
def test_the_fit_of_a_block_loses_less_than_the_linear_code_and_emphasis_spares_heavy_rain() -> None:
    generator = torch.Generator().manual_seed(0)
    frames = (torch.rand(1, 1, 64, 64, generator=generator) ** 3 * 1.5 - 1.2).clamp_min(-1.0)
    heavy = frames > -0.2

    def errors(**options: float) -> tuple[float, float]:
        network = BlockAutoencoderConfig(latent_channels=12, width=8, **options).build()
        error = (network.decode(network.encode(frames)[0]).clamp_min(-1.0) - frames).abs()
        return error.mean().item(), error[heavy].mean().item()

    linear, plain, emphasised = errors(fit_steps=0), errors(emphasis=0.0), errors(emphasis=4.0)
    assert plain[0] < 0.95 * linear[0]
    assert emphasised[1] < 0.9 * plain[1]


def test_the_waves_of_a_block_apart_are_orthonormal() -> None:
    basis = lapped_basis(8, 64, overlap=0)[..., 1, 1]
    torch.testing.assert_close(basis @ basis.T, torch.eye(64), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("overlap", [1, 3, 4])
def test_overlapping_blocks_that_disagree_have_no_seams(overlap: int) -> None:
    def at_seams(overlap: int) -> float:
        network = BlockAutoencoderConfig(width=8, latent_channels=1, overlap=overlap).build()
        levels = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        frame = network.decode(levels)[0, 0]
        steps = frame.diff(dim=-1).abs()
        torch.testing.assert_close(frame[3::8, 3::8], levels[0, 0] / 8.0 - 1.0, atol=0.03, rtol=0.0)
        return steps.max().item()

    assert at_seams(overlap) < at_seams(0) / overlap


@torch.no_grad()
def test_analysis_is_the_adjoint_of_synthesis() -> None:
    network = BlockAutoencoderConfig(width=8).build()
    latents, blocks = torch.randn(1, 24, 4, 5), torch.randn(1, 64, 4, 5)
    products = (network._synthesise(latents) * blocks).sum(), (latents * network._analyse(blocks)).sum()
    torch.testing.assert_close(*products, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_a_block_autoencoder_is_local() -> None:
    network = randomise(BlockAutoencoderConfig(width=8, side=8, patch=4, blocks=1).build())
    frames = torch.rand(1, 1, 256, 64) - 1.0
    changed = frames.clone()
    changed[..., 192:, :] += 1.0
    latents, others = network.encode(frames)[0], network.encode(changed)[0]
    # What passes the seams fades from block to block.
    torch.testing.assert_close(latents[..., :8, :], others[..., :8, :], rtol=0, atol=1e-4)
    assert (latents - others)[..., :16, :].abs().max() < 0.05 * (latents - others).abs().max()
    cut = network.decode(latents[..., :16, :])
    torch.testing.assert_close(network.decode(latents)[..., :64, :], cut[..., :64, :])


@pytest.mark.parametrize("symmetry", range(8))
def test_a_turned_frame_has_the_turned_latents(symmetry: int) -> None:
    # After many steps, rounding decides which side of a pixel's value a fit is on.
    config = BlockAutoencoderConfig(width=8, fit_steps=4)
    assert config.turns
    assert not BlockAutoencoderConfig(latent_channels=12).turns
    network = config.build()
    frame = (torch.randn(1, 1, 32, 32).cumsum(-1) / 4.0 - 1.0).clamp_min(-1.0)
    turned = torch.rot90(frame, symmetry % 4, (-2, -1))
    turned = turned.flip(-1) if symmetry >= 4 else turned
    expected, _ = network.encode(turned)
    latents = network.turn(network.encode(frame)[0], symmetry)
    torch.testing.assert_close(latents, expected, atol=1e-3, rtol=1e-3)


def test_rain_is_heavy_from_nine_millimetres_an_hour_on() -> None:
    dry, heavy = IntensityScaling().to_network(torch.tensor([0.0, 9.0]))
    assert BlockAutoencoderConfig().heavy == pytest.approx(float(heavy - dry), abs=0.005)
