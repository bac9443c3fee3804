"""The trainings from archives to weights."""

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import torch
import xarray as xr
import yaml

from ssldm.config import Config
from ssldm.errors import ConfigurationError
from ssldm.nn.autoencoder import Autoencoder, AutoencoderConfig
from ssldm.nn.intensity_scaling import IntensityScaling
from ssldm.nowcast.latent_diffusion import LatentDiffusion, ModelConfig
from ssldm.nowcast.unet_forecaster import UNetForecasterConfig
from ssldm.nowcast.weights_folder import load_weights, read_config, weights_hash, write_weights
from ssldm.radar.archive import open_archive
from ssldm.radar.splits import check_disjoint, split_by_event
from ssldm.radar.windows import WindowIndex
from ssldm.training.autoencoder_module import AutoencoderModule
from ssldm.training.denoiser_module import DenoiserModule
from ssldm.training.frames import FrameData
from ssldm.training.latent_cache import (
    LatentCache,
    Progress,
    WindowDataset,
    build_cache,
    residual_statistics,
)
from ssldm.training.latent_data import LatentData
from ssldm.training.optimisation import fit, precision_of
from ssldm.training.preset import Preset
from ssldm.training.unet_module import UNetModule

MODEL = "model"


class AutoencoderWeights(Config):
    """Configuration beside the weights of an autoencoder alone."""

    scaling: IntensityScaling
    autoencoder: AutoencoderConfig


class ExportWeights(lightning.Callback):
    """Writes the averaged weights after every validation, so that a run can be used while it goes on."""

    def __init__(self, write: Callable[[], None]) -> None:
        self.write = write

    def on_validation_end(self, *_: object) -> None:
        """Lightning validates with the averaged weights in place."""
        self.write()


def open_series(archives: Sequence[Path]) -> list[xr.DataArray]:
    """All series of some archives."""
    return [series for archive in archives for series in open_archive(archive)]


def open_splits(
    train: Sequence[Path], validation: Sequence[Path], hold_out: float = 0.2
) -> tuple[list[xr.DataArray], list[xr.DataArray]]:
    """The series to train on and those to validate on.

    Without archives for validation, whole events of the training archives are held out.

    Raises:
        ConfigurationError: frames in both, or no second event to hold out.
    """
    series = open_series(train)
    if not validation:
        split = split_by_event(series, {"train": 1.0 - hold_out, "validation": hold_out})
        return split["train"], split["validation"]
    held = open_series(validation)
    check_disjoint(series, held)
    return series, held


def train_autoencoder(
    preset: Preset, train: Sequence[Path], validation: Sequence[Path], out: Path, *, resume: bool = False
) -> Path:
    """Train an autoencoder; returns the folder of its weights.

    Args:
        preset: sizes, loss and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        out: folder of the run: checkpoint, logs, `model/`.
        resume: go on from the run's last checkpoint.
    """
    optimisation = preset.autoencoder_training.optimisation
    lightning.seed_everything(optimisation.seed, verbose=False)
    module = AutoencoderModule(preset)
    config = AutoencoderWeights(scaling=preset.scaling, autoencoder=preset.autoencoder)

    def export() -> None:
        write_weights(out / MODEL, config, module.network.state_dict())

    data = FrameData(
        preset,
        *open_splits(train, validation),
        optimisation=optimisation,
        frames=1,
        size=preset.autoencoder_training.crop,
    )
    _write_preset(out, preset)
    fit(module, data, optimisation, out, resume=resume, extra_callbacks=[ExportWeights(export)])
    export()
    return out / MODEL


def load_autoencoder(folder: Path) -> tuple[AutoencoderWeights, Autoencoder]:
    """The autoencoder in a weights folder of `train_autoencoder`."""
    config = read_config(folder, AutoencoderWeights)
    network = config.autoencoder.build()
    load_weights(network, folder)
    return config, network.eval()


def train_denoiser(
    preset: Preset,
    train: Sequence[Path],
    validation: Sequence[Path],
    autoencoder: Path,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress = lambda items, _: items,
) -> Path:
    """Train a denoiser on the latents of an autoencoder; returns the folder of the whole model's weights.

    Args:
        preset: sizes, objective and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        autoencoder: run of `train_autoencoder`.
        out: folder of the run: latent cache, checkpoint, logs, pictures, `model/`.
        resume: go on from the run's last checkpoint.
        progress: wraps the iteration over windows while the cache is computed.

    Raises:
        ConfigurationError: an autoencoder that is not the preset's.
    """
    optimisation = preset.denoiser_training.optimisation
    weights, network = load_autoencoder(autoencoder / MODEL)
    if weights.autoencoder != preset.autoencoder or weights.scaling != preset.scaling:
        raise ConfigurationError(f"the autoencoder in {autoencoder} is not the preset's")
    lightning.seed_everything(optimisation.seed, verbose=False)
    train_series, validation_series = open_splits(train, validation)
    model = _model_config(preset, out.name, train_series).build()
    model.autoencoder.load_state_dict(network.state_dict())
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    caches = _Caches(preset, model, out / "latents", weights_hash(autoencoder / MODEL), progress)
    size = {"frames": preset.window.context_frames + preset.window.lead_frames, "size": preset.window.size}
    train_index = preset.window.build_index(train_series, **size)
    _measure_latents(model, train_index, optimisation.seed)
    train_cache = caches.build("train", train_index)
    validation_cache = caches.build("validation", preset.window.build_index(validation_series, **size))
    if preset.diffusion.target == "residual":
        sample = range(0, len(train_cache), max(len(train_cache) // 500, 1))
        slope, offset, deviation = residual_statistics(train_cache, sample)
        model.target_slope.copy_(slope)
        model.target_offset.copy_(offset)
        model.target_std.copy_(deviation)
    module = DenoiserModule(preset, model, out / "pictures")

    def export() -> None:
        write_weights(out / MODEL, model.config, model.state_dict())

    _write_preset(out, preset)
    data = LatentData(optimisation, train_cache, validation_cache)
    fit(module, data, optimisation, out, resume=resume, extra_callbacks=[ExportWeights(export)])
    export()
    return out / MODEL


def train_unet(
    preset: Preset, train: Sequence[Path], validation: Sequence[Path], out: Path, *, resume: bool = False
) -> Path:
    """Train the deterministic U-Net on the windows of the denoiser; returns the folder of its weights.

    Args:
        preset: sizes and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        out: folder of the run: checkpoint, logs, `model/`.
        resume: go on from the run's last checkpoint.
    """
    optimisation = preset.unet_training.optimisation
    lightning.seed_everything(optimisation.seed, verbose=False)
    module = UNetModule(preset)
    window = preset.window
    config = UNetForecasterConfig(
        name=out.name,
        context_frames=window.context_frames,
        lead_frames=window.lead_frames,
        scaling=preset.scaling,
        unet=preset.unet,
    )

    def export() -> None:
        # Half precision: its rounding is far below what the training leaves open.
        state = {name: value.half() for name, value in module.network.state_dict().items()}
        write_weights(out / MODEL, config, state)

    data = FrameData(
        preset,
        *open_splits(train, validation),
        optimisation=optimisation,
        frames=window.context_frames + window.lead_frames,
        size=window.size,
    )
    _write_preset(out, preset)
    fit(module, data, optimisation, out, resume=resume, extra_callbacks=[ExportWeights(export)])
    export()
    return out / MODEL


def _measure_latents(model: LatentDiffusion, index: WindowIndex, seed: int, windows: int = 32) -> None:
    """Set mean and deviation of the latents, from frames of some windows."""
    import numpy as np

    rng = np.random.default_rng((seed, 0))
    frames = np.concatenate(
        [index.read(index.draw(rng))[:: max(index.frames // 4, 1)] for _ in range(windows)]
    )
    device = model.latent_mean.device
    with torch.inference_mode():
        latents = model.encode(torch.from_numpy(frames).to(device))
    model.latent_mean.copy_(latents.mean(dim=(0, 2, 3)))
    model.latent_std.copy_(latents.std(dim=(0, 2, 3)))


def _model_config(preset: Preset, name: str, series: Sequence[xr.DataArray]) -> ModelConfig:
    from ssldm.radar.observations import pixel_size

    sizes = [pixel_size(data) * factor for data in series for factor in preset.window.coarsenings]
    described = sorted(
        {
            f"{data.attrs.get('product', 'unknown product')}, "
            f"{str(data['time'].values[0])[:16]} to {str(data['time'].values[-1])[:16]} UTC"
            for data in series
        }
    )
    return ModelConfig(
        name=name,
        context_frames=preset.window.context_frames,
        lead_frames=preset.window.lead_frames,
        step_minutes=preset.window.step_minutes,
        pixel_size=(round(min(sizes)), round(max(sizes))),
        training_size=preset.window.size,
        training_data=tuple(described),
        versions={package: version(package) for package in ("ssldm", "torch", "diffusers")},
        scaling=preset.scaling,
        autoencoder=preset.autoencoder,
        denoiser=preset.denoiser,
        diffusion=preset.diffusion,
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
        dataset = WindowDataset(index, self.preset.window.context_frames, seed, count)
        return build_cache(
            self.folder / name,
            dataset,
            self._encode,
            identity=self._identity(index.series, seed, count),
            stride=self.preset.autoencoder.stride,
            scaling=self.preset.scaling,
            keep_rate=validation,
            keep_pixels=self.preset.denoiser.merge_net.pixels != "none",
            workers=training.optimisation.workers,
            progress=self.progress,
        )

    @torch.inference_mode()
    def _encode(self, rate: torch.Tensor) -> torch.Tensor:
        device = self.model.latent_mean.device
        half = precision_of(self.preset.denoiser_training.optimisation) != "32-true"
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return self.model.encode(rate.to(device)).cpu()

    def _identity(self, series: Sequence[xr.DataArray], seed: int, count: int) -> dict[str, Any]:
        described = [
            (
                data.attrs.get("product"),
                data.attrs.get("place"),
                str(data["time"].values.tobytes()),
                data.shape,
            )
            for data in series
        ]
        return {
            "window": self.preset.window.model_dump(mode="json"),
            "scaling": self.preset.scaling.model_dump(mode="json"),
            "autoencoder": self.autoencoder,
            "data": hashlib.sha256(repr(described).encode()).hexdigest(),
            "seed": seed,
            "count": count,
            "pixels": self.preset.denoiser.merge_net.pixels != "none",
        }


def _write_preset(out: Path, preset: Preset) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "preset.yaml").write_text(yaml.safe_dump(preset.model_dump(mode="json"), sort_keys=False))
