"""The trainings from archives to weights."""

from collections.abc import Sequence
from pathlib import Path

import lightning

from ssldm.errors import ConfigurationError
from ssldm.forecast.unet_forecaster import UNetForecasterConfig
from ssldm.forecast.weights_folder import write_weights
from ssldm.training.autoencoder_module import AutoencoderModule
from ssldm.training.autoencoder_weights import MODEL, AutoencoderWeights
from ssldm.training.denoiser_module import DenoiserModule
from ssldm.training.frames import FrameData
from ssldm.training.latent_cache import Progress
from ssldm.training.latent_data import LatentData, ShuffledCache
from ssldm.training.latents import build_latents
from ssldm.training.optimisation import ExportWeights, check_run, fit
from ssldm.training.preset import Preset
from ssldm.training.preset_file import write_preset
from ssldm.training.series import open_splits
from ssldm.training.unet_module import UNetModule


def train_autoencoder(
    preset: Preset,
    train: Sequence[Path | str],
    validation: Sequence[Path | str],
    out: Path,
    *,
    resume: bool = False,
) -> Path:
    """Train an autoencoder; returns the folder of its weights.

    Args:
        preset: sizes, loss and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        out: folder of the run: checkpoint, logs, `model/`.
        resume: go on from the run's last checkpoint.
    """
    check_run(out, resume=resume)
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
    write_preset(out, preset)
    fit(module, data, optimisation, out, resume=resume, extra_callbacks=[ExportWeights(export)])
    export()
    return out / MODEL


def train_denoiser(
    preset: Preset,
    train: Sequence[Path | str],
    validation: Sequence[Path | str],
    autoencoder: Path,
    out: Path,
    *,
    resume: bool = False,
    latents: Path | None = None,
    progress: Progress = lambda items, _: items,
) -> Path:
    """Train a denoiser on the latents of an autoencoder; returns the folder of the whole model's weights.

    Args:
        preset: sizes, objective and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        autoencoder: run of `train_autoencoder`.
        out: folder of the run: latent cache, checkpoint, logs, pictures, `model/`.
        resume: go on from the run's last checkpoint.
        latents: folder of the latent cache, where trainings share one.
        progress: wraps the iteration over windows while the cache is computed.

    Raises:
        ConfigurationError: an autoencoder that is not the preset's.
    """
    check_run(out, resume=resume)
    optimisation = preset.denoiser_training.optimisation
    lightning.seed_everything(optimisation.seed, verbose=False)
    found = build_latents(
        preset, train, validation, autoencoder, latents or out / "latents", name=out.name, progress=progress
    )
    model = found.model
    module = DenoiserModule(preset, model, out / "pictures")

    def export() -> None:
        write_weights(out / MODEL, model.config, model.state_dict())

    write_preset(out, preset)
    turning = model if preset.denoiser_training.turned else None
    examples = ShuffledCache(found.train, optimisation.seed, turning)
    data = LatentData(optimisation, examples, found.validation)
    fit(module, data, optimisation, out, resume=resume, extra_callbacks=[ExportWeights(export)])
    export()
    return out / MODEL


def train_unet(
    preset: Preset,
    train: Sequence[Path | str],
    validation: Sequence[Path | str],
    out: Path,
    *,
    resume: bool = False,
) -> Path:
    """Train the deterministic U-Net on the windows of the denoiser; returns the folder of its weights.

    Args:
        preset: sizes and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        out: folder of the run: checkpoint, logs, `model/`.
        resume: go on from the run's last checkpoint.

    Raises:
        ConfigurationError: windows that the U-Net cannot halve often enough, or see `check_run`.
    """
    check_run(out, resume=resume)
    if preset.window.size % preset.unet.stride:
        raise ConfigurationError(
            f"expected a multiple of {preset.unet.stride}, the stride of unet, "
            f"found window.size={preset.window.size}"
        )
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
    write_preset(out, preset)
    fit(module, data, optimisation, out, resume=resume, extra_callbacks=[ExportWeights(export)])
    export()
    return out / MODEL
