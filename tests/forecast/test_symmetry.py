"""The expectation of a turned window is the turned expectation, whatever the network has learned."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ssldm.errors import ConfigurationError
from ssldm.forecast.ensemble import EnsembleSampler
from ssldm.forecast.symmetry import expected_by_symmetry
from ssldm.model.block_autoencoder import BlockAutoencoderConfig
from ssldm.model.latent_diffusion import LatentDiffusion, ModelConfig
from ssldm.model.residual_target import Expectation
from ssldm.paper.merge_net import Condition
from ssldm.radar.motion import Extrapolation, extrapolate, mean_motion
from ssldm.radar.simulation import simulate
from ssldm.radar.windows import turn
from ssldm.training.preset import load_preset

LEAD, HEIGHT, WIDTH = 2, 6, 10


def config(**changes: Any) -> ModelConfig:
    """Of the preset `small`, with a small network."""
    preset = load_preset("small", ["residual_network={width: 8, reaches: [1]}"])
    values = {
        "name": "turned",
        "lead_frames": LEAD,
        "scaling": preset.scaling,
        "autoencoder": preset.autoencoder,
        "denoiser": preset.denoiser,
        "diffusion": preset.diffusion,
        "residual_network": preset.residual_network,
        "symmetric": True,
    }
    return ModelConfig(**values | changes)


@pytest.fixture
def model() -> LatentDiffusion:
    """Of random weights, and with statistics of latents that a rotation exchanges."""
    torch.manual_seed(0)
    model = config().build().requires_grad_(False)
    for parameter in model.residual.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.nn.init.uniform_(model.latent_std, 0.5, 2.0)
    torch.nn.init.normal_(model.latent_mean)
    return model


def condition(model: LatentDiffusion, symmetry: int) -> Condition:
    """A window that was turned."""
    generator = torch.Generator().manual_seed(1)
    channels, history = len(model.latent_mean), model.config.denoiser.merge_net.history_channels

    def drawn(count: int) -> torch.Tensor:
        return torch.rand(1, LEAD, count, HEIGHT, WIDTH, generator=generator)

    def turned(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(turn(x.numpy(), symmetry))

    latents = drawn(channels)
    return Condition(
        context_latent=model.turn(latents, symmetry),
        extrapolated_latent=model.turn(latents, symmetry),
        extrapolated_coverage=turned(drawn(1)),
        extrapolated_history=turned(drawn(history)),
    )


@pytest.mark.parametrize("symmetry", range(8))
def test_a_turned_window_has_the_turned_expectation(model: LatentDiffusion, symmetry: int) -> None:
    upright = expected_by_symmetry(model, condition(model, 0))
    turned = expected_by_symmetry(model, condition(model, symmetry))
    torch.testing.assert_close(turned.mean, model.turn(upright.mean, symmetry), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(turned.scale, model.turn_scale(upright.scale, symmetry), rtol=1e-4, atol=1e-4)
    if symmetry:
        plain, once = (model.expected(condition(model, way)).mean for way in (symmetry, 0))
        assert not torch.allclose(plain, model.turn(once, symmetry), atol=1e-2)


def test_scales_of_any_sign_of_the_latents_stay_positive(model: LatentDiffusion) -> None:
    assert (expected_by_symmetry(model, condition(model, 0)).scale > 0.0).all()


def test_a_forecast_departs_from_it(model: LatentDiffusion) -> None:
    context = simulate(4, (48, 80), seed=1).values
    (tile,) = EnsembleSampler(model, context, extrapolate(context, LEAD)).tiles
    torch.testing.assert_close(tile.expected.mean, expected_by_symmetry(model, tile.condition).mean)
    assert not torch.allclose(tile.expected.mean, model.expected(tile.condition).mean, atol=1e-2)


def test_only_latents_that_turn_are_symmetric() -> None:
    with pytest.raises(ValidationError, match="whose latents turn"):
        config(autoencoder=BlockAutoencoderConfig(latent_channels=23), denoiser=narrow())
    for override, match in (
        ("autoencoder.latent_channels=23", "whose latents turn"),
        ("diffusion.target=latents", "symmetric needs diffusion.target=residual"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            load_preset("small", [override, "denoiser_training.turned=false"])


def test_guidance_needs_the_prediction_of_v() -> None:
    changed = load_preset("small").diffusion.model_copy(update={"prediction": "epsilon"})
    with pytest.raises(ValidationError, match="prediction of v"):
        config(guidance=0.5, diffusion=changed)
    with pytest.raises(ConfigurationError, match="prediction of v"):
        load_preset("small", ["diffusion.prediction=epsilon"])


def narrow() -> Any:
    """The denoiser for latents that do not turn."""
    denoiser = load_preset("small").denoiser
    merge_net = denoiser.merge_net.model_copy(update={"latent_channels": 23})
    return denoiser.model_copy(update={"merge_net": merge_net})


def test_what_is_expected_along_both_motions_is_their_average(model: LatentDiffusion) -> None:
    context = simulate(4, (48, 80), seed=1).values
    tracked = extrapolate(context, LEAD)
    other = extrapolate(context, LEAD, mean_motion(context, tracked.motion))

    def expected(both_motions: bool, moved: Extrapolation) -> Expectation:
        model.config = config(both_motions=both_motions)
        return EnsembleSampler(model, context, moved).tiles[0].expected

    both, first, second = expected(True, tracked), expected(False, tracked), expected(False, other)
    assert not torch.allclose(first.mean, second.mean, atol=1e-2)
    torch.testing.assert_close(both.mean, 0.5 * (first.mean + second.mean))
    torch.testing.assert_close(both.scale, (first.scale * second.scale).sqrt())


def test_only_residuals_have_an_expectation_along_both_motions() -> None:
    with pytest.raises(ConfigurationError, match="both_motions needs"):
        load_preset("small", ["diffusion.target=latents", "symmetric=false"])
