"""Laws of the network's parts."""

import itertools

import pytest
import torch
from random_weights import randomise

from ssldm.model.stacked_denoiser import StackedDenoiserConfig
from ssldm.paper.attention import JointAttention, SpatialAttention, TemporalAttention
from ssldm.paper.autoencoder import AutoencoderConfig
from ssldm.paper.denoiser import DenoiserConfig
from ssldm.paper.gate import apply_gate
from ssldm.paper.merge_net import Condition, MergeNetConfig
from ssldm.paper.temporal_shift import temporal_shift

SMALL = {"width": 8, "multipliers": (1, 2), "blocks": 1, "groups": 4, "spatial_heads": 2}


def test_temporal_shift_moves_channels_between_frames() -> None:
    x = torch.arange(3.0)[:, None, None, None].expand(3, 8, 1, 1) + 1.0  # frame number, from 1
    y = temporal_shift(x, frames=3)[:, :, 0, 0]
    assert y[:, 0].tolist() == [2.0, 3.0, 0.0]  # from the next frame
    assert y[:, 1].tolist() == [0.0, 1.0, 2.0]  # from the previous frame
    assert torch.equal(y[:, 2:], x[:, 2:, 0, 0])


def test_temporal_shift_reversed_in_time_exchanges_its_directions() -> None:
    x = torch.randn(5, 16, 2, 3)
    forward = temporal_shift(x.flip(0), frames=5).flip(0)
    exchanged = torch.cat([x[:, 2:4], x[:, :2], x[:, 4:]], dim=1)
    backward = temporal_shift(exchanged, frames=5)
    assert torch.equal(forward[:, :2], backward[:, 2:4])
    assert torch.equal(forward[:, 2:4], backward[:, :2])


@torch.no_grad()
def test_temporal_attention_is_causal() -> None:
    attention = randomise(TemporalAttention(8, heads=2, head_channels=4))
    x = torch.randn(6, 8, 2, 2)
    changed = x.clone()
    changed[4:] += 1.0
    before, after = attention(x, 6), attention(changed, 6)
    torch.testing.assert_close(before[:4], after[:4])
    assert not torch.allclose(before[4], after[4])


@torch.no_grad()
def test_temporal_attention_treats_positions_alike() -> None:
    attention = randomise(TemporalAttention(8, heads=2, head_channels=4))
    x = torch.randn(6, 8, 3, 4)
    torch.testing.assert_close(attention(x.flip(-1), 6), attention(x, 6).flip(-1))


@torch.no_grad()
def test_spatial_attention_treats_positions_alike() -> None:
    attention = randomise(SpatialAttention(8, heads=2, groups=4))
    x = torch.randn(2, 8, 3, 5)
    turned = x.transpose(-1, -2).contiguous()
    torch.testing.assert_close(attention(turned), attention(x).transpose(-1, -2))


@torch.no_grad()
def test_joint_attention_reaches_every_frame_and_tells_them_apart() -> None:
    attention = randomise(JointAttention(8, heads=2, groups=4))
    x = torch.randn(6, 8, 3, 2)  # two clips of three frames
    changed = x.clone()
    changed[2, :, 1, 1] += 1.0
    difference = (attention(changed, 3) - attention(x, 3)).abs().amax(dim=(1, 2, 3))
    assert (difference[:3] > 1e-6).all()
    assert torch.equal(difference[3:], torch.zeros(3))
    reverse = [2, 1, 0, 5, 4, 3]
    assert not torch.allclose(attention(x[reverse], 3), attention(x, 3)[reverse])


@pytest.mark.parametrize(
    ("kind", "pixels", "extrapolation", "gated"),
    [
        *itertools.product(["stc", "stacked"], ["none", "downsampled", "encoder"], [False, True], [False]),
        *itertools.product(["stc", "stacked"], ["none"], [True], [True]),
    ],
)
@torch.no_grad()
def test_every_condition_variant_with_any_number_of_frames(
    kind: str, pixels: str, extrapolation: bool, gated: bool
) -> None:
    merge_net = MergeNetConfig(
        context_frames=3,
        latent_channels=2,
        pixels=pixels,
        encoder_width=32,
        extrapolation=extrapolation,
    )
    if kind == "stc":
        config = DenoiserConfig(merge_net=merge_net, attention_reductions=(2,), gated=gated, **SMALL)
        network = randomise(config.build())
    else:
        stacked = StackedDenoiserConfig(
            merge_net=merge_net, lead_frames=5, width=32, multipliers=(1, 2), gated=gated, groups=4
        )
        network = randomise(stacked.build())
    condition = Condition(
        context_latent=torch.randn(2, 3, 2, 8, 4),
        context_pixels=torch.randn(2, 3, 1, 64, 32),
        extrapolated_latent=torch.randn(2, 5, 2, 8, 4),
        extrapolated_coverage=torch.rand(2, 5, 1, 8, 4),
    )
    noisy = torch.randn(2, 5, 2, 8, 4)
    output = network(noisy, torch.tensor([3, 900]), condition)
    assert output.shape == noisy.shape
    # One window of a batch does not depend on the other.
    alone = network(noisy[:1], torch.tensor([3]), condition.map(lambda x: x[:1]))
    torch.testing.assert_close(alone, output[:1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        DenoiserConfig(attention_reductions=(1, 2), **SMALL),
        DenoiserConfig(attention_reductions=(1, 2), cascade=("joint",), **SMALL),
        DenoiserConfig(attention_reductions=(1, 2), gated=True, **SMALL),
        StackedDenoiserConfig(lead_frames=2, width=32, multipliers=(1, 2)),
    ],
)
@torch.no_grad()
def test_a_fresh_denoiser_predicts_zero(config: DenoiserConfig | StackedDenoiserConfig) -> None:
    network = config.build()
    noisy = torch.randn(1, 2, 4, 4, 4)
    output = network(noisy, torch.tensor([5]), Condition(torch.randn(1, 4, 4, 4, 4)))
    assert torch.equal(output, torch.zeros_like(output))


@torch.no_grad()
def test_the_gate_expects_what_a_normal_field_of_uneven_deviation_leads_to_expect() -> None:
    signal, mean, deviation = 0.6, torch.tensor([0.0, 1.0, -2.0]), torch.tensor([0.0, 0.5, 3.0])
    noise_power = 1.0 - signal**2
    gain = signal * deviation**2 / (signal**2 * deviation**2 + noise_power)
    clean = mean + deviation * torch.randn(400_000, 3)
    noisy = signal * clean + noise_power**0.5 * torch.randn_like(clean)
    last_layer = torch.cat([gain, mean - gain * signal * mean])[None, None, :, None, None]
    expected = apply_gate(last_layer, noisy[:, None, :, None, None]).flatten(1)
    # What is expected leaves an error that does not depend on the noisy latents.
    error = clean - expected
    torch.testing.assert_close(error.mean(dim=0), torch.zeros(3), atol=0.01, rtol=0.0)
    torch.testing.assert_close((error * noisy).mean(dim=0), torch.zeros(3), atol=0.03, rtol=0.0)


def test_wrong_sizes_are_named() -> None:
    network = DenoiserConfig(attention_reductions=(), **SMALL).build()
    with pytest.raises(ValueError, match="multiples of 2, found 5×4"):
        network(torch.zeros(1, 2, 4, 5, 4), torch.tensor([5]), Condition(torch.zeros(1, 4, 4, 5, 4)))
    with pytest.raises(ValueError, match="must divide"):
        DenoiserConfig(width=6, groups=4)
    stacked = StackedDenoiserConfig(lead_frames=3, width=32, multipliers=(1,)).build()
    with pytest.raises(ValueError, match="expected 3 lead frames, found 2"):
        stacked(torch.zeros(1, 2, 4, 4, 4), torch.tensor([5]), Condition(torch.zeros(1, 4, 4, 4, 4)))


@pytest.mark.parametrize("patch", [1, 2])
@torch.no_grad()
def test_autoencoder_halves_as_often_as_it_says(patch: int) -> None:
    config = AutoencoderConfig(channels=1, width=8, multipliers=(1, 2), blocks=1, groups=4, patch=patch)
    network = config.build()
    mean, log_variance = network.encode(torch.randn(2, 1, 16, 8))
    assert mean.shape == log_variance.shape == (2, 4, 16 // config.stride, 8 // config.stride)
    assert network.decode(mean).shape == (2, 1, 16, 8)


@pytest.mark.parametrize("reduction", [1, 2, 4, 8, 16])
@torch.no_grad()
def test_pixel_conditions_come_at_the_size_of_latents_whatever_that_is(reduction: int) -> None:
    latents = torch.randn(2, 3, 2, 4, 2)  # (b, t, c, h, w)
    pixels = torch.randn(2, 3, 1, 4 * reduction, 2 * reduction)
    for kind in ("downsampled", "encoder"):
        config = MergeNetConfig(
            context_frames=3, latent_channels=2, pixels=kind, pixel_channels=3, encoder_width=32
        )
        network = randomise(config.build(reduction))
        context, _ = network(latents, Condition(context_latent=latents, context_pixels=pixels))
        assert context.shape == (2, config.context_channels, 4, 2)
        # One channel stands for all: the same as three that are alike.
        alike = Condition(context_latent=latents, context_pixels=pixels.expand(-1, -1, 3, -1, -1))
        assert torch.equal(context, network(latents, alike)[0])
