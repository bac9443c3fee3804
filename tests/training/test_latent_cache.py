"""The latent cache: computed once, and not from the beginning after an interruption."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ssldm.diffusion.schedule import DiffusionConfig
from ssldm.model.block_autoencoder import BlockAutoencoderConfig
from ssldm.model.latent_diffusion import ModelConfig
from ssldm.model.scaling import IntensityScaling
from ssldm.paper.denoiser import DenoiserConfig
from ssldm.paper.merge_net import MergeNetConfig
from ssldm.radar.archive import open_archive
from ssldm.radar.windows import turn
from ssldm.training import latent_cache
from ssldm.training.latent_cache import LatentCache, WindowDataset, build_cache
from ssldm.training.latent_data import turn_example
from ssldm.training.preset import load_preset


def test_an_interrupted_cache_goes_on(
    storm_archive: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_cache, "_SAVE_EVERY", 2)
    preset = load_preset("tiny")
    index = preset.window.build_index(open_archive(storm_archive(1)), frames=8, size=preset.window.size)
    dataset = WindowDataset(index, 4, seed=0, count=7)
    encoded: list[int] = []

    def encode(rate: torch.Tensor) -> torch.Tensor:
        encoded.append(len(rate))
        return torch.nn.functional.avg_pool2d(rate.nan_to_num()[:, None], 8)

    def build(folder: Path, identity: str = "a", progress: Callable | None = None) -> LatentCache:
        return build_cache(
            folder,
            dataset,
            encode,
            identity={"name": identity},
            stride=8,
            scaling=preset.scaling,
            progress=progress or (lambda items, _: items),
        )

    def interrupt(items: Iterable, _: int) -> Iterator:
        for number, item in enumerate(items):
            if number == 5:
                raise KeyboardInterrupt
            yield item

    whole = build(tmp_path / "whole")
    encoded.clear()
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "broken", progress=interrupt)
    assert len(encoded) == 5
    again = build(tmp_path / "broken")
    # Four were saved; the fifth and the two that were never begun are computed.
    assert len(encoded) == 5 + 3
    assert len(again) == len(whole) == 7
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    build(tmp_path / "broken")
    assert len(encoded) == 8
    build(tmp_path / "broken", identity="b")
    assert len(encoded) == 8 + 7


@pytest.mark.parametrize("symmetry", [1, 6])
def test_a_turned_example_is_that_of_the_turned_window(symmetry: int) -> None:
    model = ModelConfig(
        name="turned",
        scaling=IntensityScaling(),
        # No fit: rounding decides some of its steps.
        autoencoder=BlockAutoencoderConfig(width=8, fit_steps=0),
        denoiser=DenoiserConfig(merge_net=MergeNetConfig(latent_channels=24), width=32, multipliers=(1,)),
        diffusion=DiffusionConfig(),
    ).build()
    generator = torch.Generator().manual_seed(0)
    model.latent_mean.copy_(torch.randn(24, generator=generator))
    model.latent_std.copy_(torch.rand(24, generator=generator) + 0.5)
    rate = 20.0 * torch.rand(3, 32, 32, generator=generator).cumsum(-1)

    def example(rate: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            "lead_latent": model.encode(rate),
            "lead_observed": (rate > 300.0).float(),
            "weight": torch.tensor(2.0),
        }

    turned = turn_example(model, example(rate), symmetry)
    expected = example(torch.from_numpy(turn(rate.numpy(), symmetry)))
    assert turned["weight"] == 2.0
    assert torch.equal(turned["lead_observed"], expected["lead_observed"])
    torch.testing.assert_close(turned["lead_latent"], expected["lead_latent"], atol=1e-4, rtol=1e-4)


def test_speckle_leaves_the_context_alone_and_only_where_asked(
    storm_archive: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_cache, "remove_speckle", torch.zeros_like)
    preset = load_preset("tiny")
    index = preset.window.build_index(open_archive(storm_archive(1)), frames=8, size=preset.window.size)
    plain, cleaned = (WindowDataset(index, 4, seed=0, count=1, cleaned=asked)[0] for asked in (False, True))
    assert plain["rate"][:4].nan_to_num().any()
    assert not cleaned["rate"][:4].any()
    assert torch.equal(cleaned["rate"][4:].isnan(), plain["rate"][4:].isnan())
    assert torch.equal(cleaned["rate"][4:].nan_to_num(), plain["rate"][4:].nan_to_num())
    assert plain["extrapolated"].nan_to_num().any()
    assert not cleaned["extrapolated"].nan_to_num().any()
