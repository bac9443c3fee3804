"""Maps of a forecast without a denoiser, between rates, network units, blocks and pixels."""

import pytest
import torch
from storm_models import untrained_storm_model

from ssldm.model.storm_model import StormModel


@pytest.fixture(scope="module")
def model() -> StormModel:
    torch.manual_seed(0)
    return untrained_storm_model(2)


def test_deviations_are_those_of_blocks_in_their_middle_and_change_steadily_between(
    model: StormModel,
) -> None:
    log = torch.arange(5.0).expand(1, 1, 2, 5, 5)
    deviation = model.deviation(log)
    assert deviation.shape == (1, 1, 2, 40, 40)
    pixels = (torch.arange(40) + 0.5) / 8.0 - 0.5
    torch.testing.assert_close(deviation[0, 0, 1, 7].log(), pixels.clamp(0.0, 4.0), atol=1e-5, rtol=0.0)


def test_rates_come_back_and_the_weakest_only_where_asked_for(model: StormModel) -> None:
    rate = torch.tensor([0.0, 0.02, 0.2, 30.0])
    above = model.above_dry(rate)
    assert above[0] == 0.0
    assert bool((above.diff() > 0.0).all())
    torch.testing.assert_close(model.to_rate(above), torch.tensor([0.0, 0.0, 0.2, 30.0]))
    torch.testing.assert_close(model.to_rate(above, dry=False), rate)


@torch.no_grad()
def test_waves_that_are_nothing_are_dry(model: StormModel) -> None:
    dry = model.decode(torch.zeros(1, 2, 10, 3, 4))
    torch.testing.assert_close(dry, torch.zeros(1, 2, 24, 32))
