"""Laws of the intensity scaling."""

import pytest
import torch

from ssldm.model.scaling import IntensityScaling


@pytest.mark.parametrize("kind", ["power", "reflectivity"])
def test_intensity_scaling_can_be_undone(kind: str) -> None:
    scaling = IntensityScaling(kind=kind, dry_below=0.0)
    rate = torch.tensor([0.1, 0.5, 2.0, 8.0, 60.0, 300.0])
    torch.testing.assert_close(scaling.to_rate(scaling.to_network(rate)), rate, rtol=1e-4, atol=1e-4)
    assert scaling.to_network(rate).diff().min() > 0


def test_dry_stays_dry_and_rain_is_never_negative() -> None:
    for kind in ("power", "reflectivity"):
        scaling = IntensityScaling(kind=kind)
        assert scaling.to_rate(scaling.to_network(torch.zeros(1))) == 0.0
        assert (scaling.to_rate(torch.linspace(-3, 3, 50)) >= 0).all()
