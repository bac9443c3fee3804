"""The trainings from archives to weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
from lightning.pytorch.utilities import rank_zero_only

from ssldm.errors import ConfigurationError
from ssldm.forecast.unet_forecaster import UNetForecasterConfig
from ssldm.forecast.weights_folder import write_weights
from ssldm.training.autoencoder_module import AutoencoderModule
from ssldm.training.autoencoder_weights import MODEL, AutoencoderWeights
from ssldm.training.denoiser_module import DenoiserModule
from ssldm.training.distribution import ALONE, Distribution
from ssldm.training.frames import FrameData
from ssldm.training.latent_cache import Progress
from ssldm.training.latent_data import LatentData
from ssldm.training.latents import latents_of
from ssldm.training.optimisation import ExportWeights, check_run, fit
from ssldm.training.optimisation_config import OptimisationConfig
from ssldm.training.preset import Preset
from ssldm.training.preset_file import write_preset
from ssldm.training.series import open_splits
from ssldm.training.unet_module import UNetModule


@dataclass(frozen=True)
class _Run:
    """What all trainings do first and last.

    Attributes:
        preset: kept in the run's folder.
        optimisation: of what is trained.
        out: folder of the run.
        distribution: over how many processes it is spread.
        resume: whether it goes on from the last checkpoint.
    """

    preset: Preset
    optimisation: OptimisationConfig
    out: Path
    distribution: Distribution
    resume: bool

    def begin(self) -> None:
        """Refuse what cannot be run; seed, and take this process' share of the machine."""
        check_run(self.out, resume=self.resume)
        self.distribution.check(self.optimisation.batch_size)
        self.distribution.take_share()
        lightning.seed_everything(self.optimisation.seed, verbose=False)

    def finish(
        self,
        module: lightning.LightningModule,
        data: lightning.LightningDataModule,
        export: Callable[[], None],
    ) -> Path:
        """Train to the end and write the weights, which the first process does; returns their folder."""
        export = rank_zero_only(export)
        write_preset(self.out, self.preset)
        fit(
            module,
            data,
            self.optimisation,
            self.out,
            resume=self.resume,
            distribution=self.distribution,
            extra_callbacks=[ExportWeights(export)],
        )
        export()
        return self.out / MODEL


def train_autoencoder(
    preset: Preset,
    train: Sequence[Path | str],
    validation: Sequence[Path | str],
    out: Path,
    *,
    resume: bool = False,
    distribution: Distribution = ALONE,
) -> Path:
    """Train an autoencoder; returns the folder of its weights.

    Args:
        preset: sizes, loss and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        out: folder of the run: checkpoint, logs, `model/`.
        resume: go on from the run's last checkpoint.
        distribution: over how many processes the training is spread.
    """
    run = _Run(preset, preset.autoencoder_training.optimisation, out, distribution, resume)
    run.begin()
    module = AutoencoderModule(preset)
    config = AutoencoderWeights(scaling=preset.scaling, autoencoder=preset.autoencoder)

    def export() -> None:
        write_weights(out / MODEL, config, module.network.state_dict())

    data = FrameData(
        preset,
        *open_splits(train, validation),
        optimisation=run.optimisation,
        frames=1,
        size=preset.autoencoder_training.crop,
    )
    return run.finish(module, data, export)


def train_denoiser(
    preset: Preset,
    train: Sequence[Path | str],
    validation: Sequence[Path | str],
    autoencoder: Path,
    out: Path,
    *,
    resume: bool = False,
    distribution: Distribution = ALONE,
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
        distribution: over how many processes the training is spread.
        latents: folder of the latent cache, where trainings share one.
        progress: wraps the iteration over windows while the cache is computed.

    Raises:
        ConfigurationError: an autoencoder that is not the preset's; fewer validation windows
            than processes; see `check_run` and `Distribution`.
    """
    if (windows := preset.denoiser_training.validation_windows) < distribution.processes:
        raise ConfigurationError(
            f"expected denoiser_training.validation_windows of at least {distribution.processes}, "
            f"one a process, found {windows}"
        )
    run = _Run(preset, preset.denoiser_training.optimisation, out, distribution, resume)
    run.begin()
    found = latents_of(
        preset, train, validation, autoencoder, latents or out / "latents", name=out.name, progress=progress
    )
    model = found.model
    module = DenoiserModule(preset, model, out / "pictures")

    def export() -> None:
        write_weights(out / MODEL, model.config, model.state_dict())

    turning = model if preset.denoiser_training.turned else None
    data = LatentData(run.optimisation, found.caches, turning)
    return run.finish(module, data, export)


def train_unet(
    preset: Preset,
    train: Sequence[Path | str],
    validation: Sequence[Path | str],
    out: Path,
    *,
    resume: bool = False,
    distribution: Distribution = ALONE,
) -> Path:
    """Train the deterministic U-Net on the windows of the denoiser; returns the folder of its weights.

    Args:
        preset: sizes and optimisation.
        train, validation: archives; without any for validation a fifth of the events is held out.
        out: folder of the run: checkpoint, logs, `model/`.
        resume: go on from the run's last checkpoint.
        distribution: over how many processes the training is spread.

    Raises:
        ConfigurationError: windows that the U-Net cannot halve often enough; or see `check_run` and
            `Distribution`.
    """
    if preset.window.size % preset.unet.stride:
        raise ConfigurationError(
            f"expected a multiple of {preset.unet.stride}, the stride of unet, "
            f"found window.size={preset.window.size}"
        )
    run = _Run(preset, preset.unet_training.optimisation, out, distribution, resume)
    run.begin()
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
        optimisation=run.optimisation,
        frames=window.context_frames + window.lead_frames,
        size=window.size,
    )
    return run.finish(module, data, export)
