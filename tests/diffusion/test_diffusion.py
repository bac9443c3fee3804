"""Objective and sampling, on problems whose answer is known."""

import numpy as np
import pytest
import torch

from ssldm.diffusion.objective import diffusion_loss
from ssldm.diffusion.sampling import MOST_MEMBERS, MOST_SEED, member_generator, member_seed, sample
from ssldm.diffusion.schedule import DiffusionConfig

SAMPLERS = ("ddpm", "ddim", "dpm-solver++", "unipc")


def exact_prediction(config: DiffusionConfig, mean: float, deviation: float):
    """The best predictor for latents that are normally distributed, each by itself."""
    products = config.build_forward_process().alphas_cumprod

    def predict(noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        a = products[timestep.long()][:, None, None, None, None]
        signal, noise = a.sqrt(), (1 - a).sqrt()
        gain = signal * deviation**2 / (a * deviation**2 + 1 - a)
        clean = mean + gain * (noisy - signal * mean)
        epsilon = (noisy - signal * clean) / noise
        if config.prediction == "sample":
            return clean
        return epsilon if config.prediction == "epsilon" else signal * epsilon - noise * clean

    return predict


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_samplers_draw_from_a_normal_distribution(sampler: str, prediction: str) -> None:
    config = DiffusionConfig(prediction=prediction)
    generators = [member_generator(0, k) for k in range(2)]
    noise = torch.stack([torch.randn(4, 4, 16, 16, generator=g) for g in generators])
    steps = {"ddpm": 200, "ddim": 150}.get(sampler, 20)  # of first order, or of second
    drawn = sample(
        exact_prediction(config, 0.7, 0.5), noise, config.build_scheduler(sampler), steps, generators
    )
    assert drawn.mean().item() == pytest.approx(0.7, abs=0.03)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("sampler", ["dpm-solver++", "unipc"])
@pytest.mark.parametrize("deviation", [0.2, 0.5, 1.0])
def test_ten_steps_keep_the_spread_of_every_scale(sampler: str, deviation: float) -> None:
    config = DiffusionConfig(prediction="v_prediction")
    generators = [member_generator(0, k) for k in range(2)]
    noise = torch.stack([torch.randn(4, 4, 16, 16, generator=g) for g in generators])
    predict = exact_prediction(config, 0.0, deviation)
    drawn = sample(predict, noise, config.build_scheduler(sampler), 10, generators)
    assert drawn.std().item() == pytest.approx(deviation, rel=0.06)


@pytest.mark.parametrize(("sampler", "least", "most"), [("ddim", 1.8, 2.2), ("dpm-solver++", 3.2, 4.1)])
def test_twice_the_steps_divide_the_error_by_two_to_the_order(
    sampler: str, least: float, most: float
) -> None:
    """The flow from noise to latents that are normally distributed only scales: the answer is known."""
    config = DiffusionConfig(prediction="v_prediction")
    noise = torch.ones(1, 1, 1, 1, 1)
    predict = exact_prediction(config, 0.0, 0.5)
    errors = [
        abs(sample(predict, noise, config.build_scheduler(sampler), steps, []).item() - 0.5)
        for steps in (20, 40)
    ]
    assert least < errors[0] / errors[1] < most


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_loss_of_a_perfect_prediction_is_zero(prediction: str) -> None:
    config = DiffusionConfig(prediction=prediction)
    clean, noise = torch.full((2, 3, 4, 5, 5), 0.7), torch.randn(2, 3, 4, 5, 5)
    timestep = torch.tensor([10, 700])
    loss = diffusion_loss(
        exact_prediction(config, 0.7, 0.0),
        clean,
        noise,
        timestep,
        config.build_forward_process(),
        torch.ones(2, 3, 1, 5, 5),
    )
    assert loss.item() < 1e-6


def test_an_error_of_the_clean_latents_weighs_as_that_of_the_velocity() -> None:
    clean, noise, timestep = torch.randn(2, 3, 4, 5, 5), torch.randn(2, 3, 4, 5, 5), torch.tensor([200, 700])
    losses = []
    for kind in ("v_prediction", "sample"):
        config = DiffusionConfig(prediction=kind)
        predict = exact_prediction(config, 0.7, 0.5)
        forward_process, weight = config.build_forward_process(), torch.ones(2, 3, 1, 5, 5)
        losses.append(diffusion_loss(predict, clean, noise, timestep, forward_process, weight).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_unobserved_latents_do_not_count() -> None:
    process = DiffusionConfig().build_forward_process()
    clean, noise = torch.randn(1, 2, 4, 3, 3), torch.randn(1, 2, 4, 3, 3)
    weight = torch.ones(1, 2, 1, 3, 3)
    weight[0, 0, 0, 1, 1] = 0.0
    spoilt = noise.clone()
    spoilt[0, 0, :, 1, 1] = 1e3
    loss = diffusion_loss(lambda *_: spoilt, clean, noise, torch.tensor([5]), process, weight)
    assert loss.item() == 0.0


def test_members_depend_on_seed_and_number_alone() -> None:
    def draw(seed: int, member: int) -> np.ndarray:
        return torch.randn(100, generator=member_generator(seed, member)).numpy()

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    streams = [draw(seed, member) for seed in range(3) for member in range(3)]
    correlation = np.corrcoef(streams) - np.eye(9)
    assert np.abs(correlation).max() < 0.5


def test_no_two_members_of_any_seeds_have_the_same_numbers_up_to_the_largest() -> None:
    assert member_seed(5, MOST_MEMBERS - 1) + 1 == member_seed(6, 0)
    assert member_seed(MOST_SEED, MOST_MEMBERS - 1) == 2**63 - 1  # the largest that a generator takes
