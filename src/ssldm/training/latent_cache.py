"""Latents and extrapolated frames of training windows, computed once and kept on disk."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from ssldm.atomic import replacing
from ssldm.forecast.speckle import remove_speckle
from ssldm.model.scaling import IntensityScaling
from ssldm.paper.merge_net import Condition
from ssldm.radar.motion import extrapolate
from ssldm.radar.windows import WindowIndex, turn

MANIFEST = "manifest.json"
_SAVE_EVERY = 16
Progress = Callable[[Iterable[Any], int], Iterable[Any]]
Encode = Callable[[Tensor], Tensor]


class WindowDataset(Dataset[dict[str, Tensor]]):
    """Window n, drawn from (seed, n): rain rate, its extrapolation, where both are observed, its weight.

    Args:
        index: windows to draw from.
        context_frames: T_in.
        seed, count: of the windows.
        cleaned: whether speckle is removed from the context; what is to be forecast stays as observed.
    """

    def __init__(
        self,
        index: WindowIndex,
        context_frames: int,
        seed: int,
        count: int,
        *,
        cleaned: bool = False,
    ) -> None:
        self.index = index
        self.context_frames = context_frames
        self.seed = seed
        self.count = count
        self.cleaned = cleaned

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, n))
        window = self.index.draw(rng)
        rate = torch.from_numpy(turn(self.index.read(window), int(rng.integers(8))))
        context = rate[: self.context_frames]
        if self.cleaned:
            context.copy_(remove_speckle(context))
        moved = extrapolate(context.numpy(), len(rate) - self.context_frames)
        return {
            "rate": rate,
            "extrapolated": torch.from_numpy(moved.rate),
            "covered": torch.from_numpy(moved.observed),
            "weight": torch.tensor(self.index.correction(window)),
        }


class LatentCache(Dataset[dict[str, Tensor]]):
    """Training windows as latents, memory-mapped.

    Each example holds ``context_latent (t_in, c, h, w)``, ``extrapolated_latent`` and ``lead_latent
    (t_out, c, h, w)``, their observed shares ``extrapolated_coverage`` and ``lead_observed
    (t_out, 1, h, w)``, the correction ``weight ()`` of the sampling, and, where kept, ``rate (t_in + t_out,
    H, W)`` in mm/h and ``context_pixels (t_in, 1, H, W)`` in network units.
    """

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / MANIFEST).read_text())
        self.arrays: dict[str, NDArray[Any]] = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in manifest["arrays"]
        }
        self.length = int(manifest["count"])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(np.array(array[n % self.length], dtype=np.float32))
            for name, array in self.arrays.items()
        }


def condition_of(batch: dict[str, Tensor]) -> Condition:
    """The condition in a batch of cache examples."""
    return Condition(
        context_latent=batch["context_latent"],
        context_pixels=batch.get("context_pixels"),
        extrapolated_latent=batch["extrapolated_latent"],
        extrapolated_coverage=batch["extrapolated_coverage"],
    )


def build_cache(
    folder: Path,
    windows: WindowDataset,
    encode: Encode,
    *,
    identity: dict[str, Any],
    stride: int,
    scaling: IntensityScaling,
    keep_rate: bool = False,
    keep_pixels: bool = False,
    workers: int = 0,
    progress: Progress = lambda items, _: items,
) -> LatentCache:
    """The cache in ``folder``, computed unless one of the same identity is there already, or part of it.

    Args:
        windows: what to encode.
        encode: rain rates ``(n, H, W)`` in mm/h to scaled latents ``(n, c, h, w)``.
        identity: what the content depends on (weights, data, seeds).
        stride: pixels a latent pixel.
        scaling: for ``context_pixels``.
        keep_rate: keep the rain rates.
        keep_pixels: keep the context frames, for the pixel-space conditions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done, names = _done(folder, identity)
    arrays: dict[str, NDArray[Any]] = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="r+") for name in names
    }
    loader = DataLoader(Subset(windows, range(done, len(windows))), batch_size=1, num_workers=workers)
    for n, window in enumerate(progress(loader, len(loader)) if len(loader) else (), start=done):
        example = _encode_window(window, encode, windows.context_frames, stride)
        if keep_rate:
            example["rate"] = window["rate"][0]
        if keep_pixels:
            context = window["rate"][0, : windows.context_frames, None]
            example["context_pixels"] = scaling.to_network(context.nan_to_num(nan=0.0))
        for name, value in example.items():
            if name not in arrays:
                arrays[name] = np.lib.format.open_memmap(
                    folder / f"{name}.npy",
                    mode="w+",
                    dtype=np.float16 if value.ndim else np.float32,
                    shape=(len(windows), *value.shape),
                )
            arrays[name][n] = value.numpy()
        if (n + 1) % _SAVE_EVERY == 0 or n + 1 == len(windows):
            for array in arrays.values():
                array.flush()  # type: ignore[attr-defined]
            manifest = {"identity": identity, "count": len(windows), "done": n + 1, "arrays": sorted(arrays)}
            with replacing(folder / MANIFEST) as aside:
                aside.write_text(json.dumps(manifest))
    return LatentCache(folder)


def _done(folder: Path, identity: dict[str, Any]) -> tuple[int, list[str]]:
    """How many windows of a cache of this identity are there already, and in which arrays."""
    path = folder / MANIFEST
    if path.exists():
        manifest = json.loads(path.read_text())
        if manifest["identity"] == identity:
            return manifest["done"], manifest["arrays"]
        path.unlink()
    return 0, []


def _encode_window(
    window: dict[str, Tensor], encode: Encode, context_frames: int, stride: int
) -> dict[str, Tensor]:
    rate, moved, covered = (window[name][0] for name in ("rate", "extrapolated", "covered"))
    latents = encode(torch.cat([rate, moved]))
    observed = F.avg_pool2d(torch.isfinite(rate[context_frames:, None]).float(), stride)
    return {
        "context_latent": latents[:context_frames],
        "lead_latent": latents[context_frames : len(rate)],
        "extrapolated_latent": latents[len(rate) :],
        "lead_observed": observed,
        "weight": window["weight"][0],
        "extrapolated_coverage": F.avg_pool2d(covered[:, None].float(), stride),
    }
