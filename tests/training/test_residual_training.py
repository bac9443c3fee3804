"""The network of a residual target: its loss, its crops, its training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ssldm.errors import ConfigurationError
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.forecast.weights_folder import read_weights
from ssldm.radar.archive import open_archive
from ssldm.training import run
from ssldm.training.latent_cache import LatentCache
from ssldm.training.preset import load_preset
from ssldm.training.residual_data import CroppedCache
from ssldm.training.residual_module import crps_loss, fair_crps
from ssldm.training.run import train_autoencoder, train_denoiser
from ssldm.verification.crps import crps_ensemble


@pytest.mark.parametrize("count", [2, 5])
def test_the_loss_is_the_fair_crps_of_verification(count: int) -> None:
    rng = np.random.default_rng(0)
    members, observed = rng.random((count, 3, 8, 8)), rng.random((3, 8, 8))
    found = fair_crps(torch.from_numpy(members), torch.from_numpy(observed))
    np.testing.assert_allclose(found.numpy(), crps_ensemble(members, observed, fair=True), atol=1e-12)


def test_what_is_not_valid_has_no_loss() -> None:
    members, observed = torch.rand(2, 2, 8, 8), torch.rand(2, 8, 8)
    valid = torch.ones(2, 8, 8)
    valid[:, :, 4:] = 0.0
    weight = torch.tensor([1.0, 3.0])
    spoilt = observed.clone()
    spoilt[:, :, 4:] = 1e6
    losses = [crps_loss(members, y, valid, weight, (1, 4)) for y in (observed, spoilt)]
    torch.testing.assert_close(*losses)
    # Of single pixels and of squares of four, by hand.
    whole = sum(
        (weight[:, None] * fair_crps(pool(members), pool(observed))[..., : 4 // side].flatten(1)).sum()
        / (2 * (8 // side) * (4 // side))
        for side, pool in ((1, lambda x: x), (4, lambda x: torch.nn.functional.avg_pool2d(x, 4)))
    )
    torch.testing.assert_close(losses[0], whole)


@pytest.fixture
def cache(tmp_path: Path) -> LatentCache:
    """Four windows of two products whose latents, and whose rain rates, are the numbers of their pixels."""
    import json

    rows, columns = np.mgrid[:8, :8]
    place = (100 * rows + columns).astype(np.float16)
    arrays = {
        "context_latent": np.broadcast_to(place, (4, 4, 2, 8, 8)),
        "extrapolated_latent": np.broadcast_to(place, (4, 3, 2, 8, 8)),
        "extrapolated_coverage": np.broadcast_to(place, (4, 3, 1, 8, 8)),
        "extrapolated_history": np.broadcast_to(place, (4, 3, 6, 8, 8)),
        "lead_observed": np.broadcast_to(place, (4, 3, 1, 8, 8)),
        "rate": np.broadcast_to(place.repeat(4, 0).repeat(4, 1), (4, 7, 32, 32)),
        "product": np.array([0, 1, 1, 0], np.float32),
        "extrapolation_error": np.array([0.5, 2.0, 6.0, 0.3], np.float32),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "manifest.json").write_text(json.dumps({"arrays": list(arrays), "count": 4}))
    return LatentCache(tmp_path)


def test_crops_lie_on_each_other_and_products_weigh_alike(cache: LatentCache) -> None:
    config = load_preset("small").residual_training.model_copy(update={"crop": 4, "leads": 2})
    crops = CroppedCache(cache, config, None)
    weights = []
    for n in range(4):
        crop = crops[n]
        assert crop["extrapolated_latent"].shape == (2, 2, 4, 4)
        assert crop["lead"].shape == (2,)
        assert crop["lead"].diff() > 0
        for name in ("extrapolated_coverage", "extrapolated_history", "lead_observed"):
            assert torch.equal(crop[name][0, 0], crop["extrapolated_latent"][0, 0])
        assert torch.equal(crop["rate"][0, ::4, ::4], crop["extrapolated_latent"][0, 0])
        weights.append(float(crop["weight"]))
    assert sorted(weights) == pytest.approx([0.25, 0.25, 2.5, 2.5])
    assert torch.equal(crops[2]["rate"], crops[2]["rate"])


def test_the_target_is_trained_first_and_resumed_with_the_run(
    storm_archive: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [
        "autoencoder={kind: block, latent_channels: 4, width: 8, blocks: 1}",
        "denoiser.merge_net.history=true",
        "denoiser.merge_net.expectation=true",
        "denoiser.gated=true",
        "diffusion.noise=correlated",
        "diffusion.noise_reach=2",
        "residual_network={width: 8, reaches: [1]}",
        "symmetric=true",
        "residual_training={crop: 4, optimisation: {steps: 8, steps_per_epoch: 4, batch_size: 4}}",
    ]
    preset, archives, held = load_preset("tiny", overrides), [storm_archive(1)], [storm_archive(2)]
    train_autoencoder(preset, archives, held, tmp_path / "a")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with pytest.raises(ConfigurationError, match="found none at"):
        train_denoiser(preset, archives, held, tmp_path / "a", broken, resume=True)
    trained = read_weights(train_denoiser(preset, archives, held, tmp_path / "a", whole))
    prepared = read_weights(whole / "residual" / "model")
    assert not torch.equal(prepared["residual.network.leave.weight"], torch.zeros(12, 8, 1, 1))
    for name, value in prepared.items():
        if not name.startswith("denoiser."):
            torch.testing.assert_close(value, trained[name], rtol=1e-5, atol=1e-6, msg=name)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "DenoiserModule", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_denoiser(preset, archives, held, tmp_path / "a", broken)
    train_denoiser(preset, archives, held, tmp_path / "a", broken, resume=True)
    for name, value in read_weights(broken / "model").items():
        torch.testing.assert_close(value, trained[name], rtol=1e-5, atol=1e-6, msg=name)
    # Correlated noise alone, then with what the denoiser makes of it.
    (observations,) = open_archive(storm_archive(2))
    forecasts = [
        Nowcaster.from_pretrained(folder / "model").nowcast(observations[:4], members=2, steps=2)
        for folder in (whole / "residual", whole)
    ]
    first, second = (forecast["precipitation_rate"].values for forecast in forecasts)
    assert not np.array_equal(first, second, equal_nan=True)
    np.testing.assert_array_equal(np.isnan(first), np.isnan(second))
