"""The latents that a denoiser learns from, and the model that they belong to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.forecast.weights_folder import weights_hash
from ssldm.model.latent_diffusion import LatentDiffusion, ModelConfig, ModelParts
from ssldm.radar.windows import WindowIndex
from ssldm.training.autoencoder_weights import MODEL, differences, load_autoencoder
from ssldm.training.latent_cache import LatentCache, Progress, WindowDataset, build_cache
from ssldm.training.optimisation import precision_of
from ssldm.training.preset import Preset
from ssldm.training.series import identity_of, open_splits, period_of

# Raised whenever the same windows get other content, so that no cache of old is taken for it: 3, speckle
# only where it is to be removed.
_CONTENT = 3


@dataclass(frozen=True)
class Latents:
    """What a denoiser learns from.

    Attributes:
        model: with the autoencoder's weights and the statistics of its latents.
        caches: makes windows as latents unless they are there, and opens them: to train and to validate on.
    """

    model: LatentDiffusion
    caches: Callable[[], tuple[LatentCache, LatentCache]]


def latents_of(
    preset: Preset,
    train: Sequence[Path | str],
    validation: Sequence[Path | str],
    autoencoder: Path,
    folder: Path,
    *,
    name: str = "unnamed",
    progress: Progress = lambda items, _: items,
) -> Latents:
    """The model that a denoiser belongs to, and the latents of training and validation windows, not yet made.

    Args:
        preset: sizes, objective and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        autoencoder: run of `train_autoencoder`.
        folder: of the latents.
        name: of the model.
        progress: wraps the iteration over windows.

    Raises:
        ConfigurationError: an autoencoder that is not the preset's.
    """
    weights, network = load_autoencoder(autoencoder / MODEL)
    if found := list(differences(weights, preset)):
        raise ConfigurationError(f"the autoencoder in {autoencoder} is not the preset's: {', '.join(found)}")
    train_series, validation_series = open_splits(train, validation)
    size = {"frames": preset.window.context_frames + preset.window.lead_frames, "size": preset.window.size}
    train_index = preset.window.build_index(train_series, **size)
    model = _model_config(preset, name, train_index).build()
    model.autoencoder.load_state_dict(network.state_dict())
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    caches = _Caches(preset, model, folder, weights_hash(autoencoder / MODEL), progress)
    _measure_latents(model, train_index, preset.denoiser_training.optimisation.seed)
    validation_index = preset.window.build_index(validation_series, **size)
    return Latents(
        model,
        lambda: (caches.build("train", train_index), caches.build("validation", validation_index)),
    )


def _measure_latents(model: LatentDiffusion, index: WindowIndex, seed: int, windows: int = 32) -> None:
    """Set mean and deviation of the latents, from frames of some windows.

    Raises:
        ObservationError: all of them are dry.
    """
    import numpy as np

    rng = np.random.default_rng((seed, 0))
    drawn = (index.draw(rng) for _ in range(windows))
    frames = np.concatenate(
        [index.read(window)[: window.frames : max(index.frames // 4, 1)] for window in drawn]
    )
    device = model.latent_mean.device
    with torch.inference_mode():
        latents = model.encode(torch.from_numpy(frames).to(device))
    model.latent_mean.copy_(latents.mean(dim=(0, 2, 3)))
    model.latent_std.copy_(latents.std(dim=(0, 2, 3)))
    if not bool((model.latent_std > 0.0).all()):
        raise ObservationError(
            "expected rain in the windows to train on, found none in those that were drawn"
        )


def _model_config(preset: Preset, name: str, index: WindowIndex) -> ModelConfig:
    described = sorted(
        {f"{data.attrs.get('product', 'unknown product')}, {period_of(data)}" for data in index.series}
    )
    return ModelConfig(
        name=name,
        context_frames=preset.window.context_frames,
        lead_frames=preset.window.lead_frames,
        step_minutes=preset.window.step_minutes,
        pixel_size=index.pixel_sizes,
        training_size=preset.window.size,
        training_data=tuple(described),
        versions={package: version(package) for package in ("ssldm", "torch", "diffusers")},
        **{part: getattr(preset, part) for part in ModelParts.model_fields},
    )


class _Caches:
    """Builds the latent caches of one training."""

    def __init__(
        self, preset: Preset, model: LatentDiffusion, folder: Path, autoencoder: str, progress: Progress
    ) -> None:
        self.preset = preset
        self.model = model
        self.folder = folder
        self.autoencoder = autoencoder
        self.progress = progress

    def build(self, name: str, index: WindowIndex) -> LatentCache:
        training = self.preset.denoiser_training
        validation = name == "validation"
        seed = training.optimisation.seed + int(validation)
        count = training.validation_windows if validation else training.windows
        dataset = WindowDataset(
            index, self.preset.window.context_frames, seed, count, cleaned=self.preset.remove_speckle
        )
        return build_cache(
            self.folder / name,
            dataset,
            self._encode,
            identity=self._identity(index.series, seed, count),
            stride=self.preset.autoencoder.stride,
            scaling=self.preset.scaling,
            keep_rate=validation,
            keep_pixels=self._keeps_pixels,
            workers=training.optimisation.workers,
            progress=self.progress,
        )

    @property
    def _keeps_pixels(self) -> bool:
        kept = self.preset.denoiser_training.keep_pixels
        return kept or self.preset.denoiser.merge_net.pixels != "none"

    @torch.inference_mode()
    def _encode(self, rate: torch.Tensor) -> torch.Tensor:
        device = self.model.latent_mean.device
        half = precision_of(self.preset.denoiser_training.optimisation) != "32-true"
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return self.model.encode(rate.to(device)).cpu()

    def _identity(self, series: Sequence[xr.DataArray], seed: int, count: int) -> dict[str, Any]:
        return {
            "content": _CONTENT,
            "window": self.preset.window.model_dump(mode="json"),
            "scaling": self.preset.scaling.model_dump(mode="json"),
            "autoencoder": self.autoencoder,
            "data": identity_of(series),
            "seed": seed,
            "count": count,
            "pixels": self._keeps_pixels,
            "cleaned": self.preset.remove_speckle,
        }
