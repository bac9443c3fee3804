"""The latent cache: computed once, and not from the beginning after an interruption."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ssldm.radar.archive import open_archive
from ssldm.training import latent_cache
from ssldm.training.latent_cache import LatentCache, WindowDataset, build_cache
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
