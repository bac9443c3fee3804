"""Presets: every number that a training run depends on, in one strict, shipped file."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import xarray as xr
import yaml
from pydantic import Field, ValidationError, model_validator

from ssldm.config import Config, first_fault
from ssldm.diffusion.schedule import DiffusionConfig
from ssldm.errors import ConfigurationError
from ssldm.nn.block_autoencoder import BlockAutoencoderConfig
from ssldm.nn.intensity_scaling import IntensityScaling
from ssldm.nn.unet import UNetConfig
from ssldm.nowcast.latent_diffusion import ModelParts
from ssldm.radar.windows import WindowIndex
from ssldm.training.adversary import AdversaryConfig
from ssldm.training.autoencoder_loss import AutoencoderLossConfig

PRESETS = ("paper", "base", "small", "tiny")


class WindowConfig(Config):
    """What a training example is.

    Attributes:
        context_frames, lead_frames: T_in and T_out.
        step_minutes: time step of the archives.
        size: side of a window in pixels.
        coarsenings: block averages that windows are also taken from, multiples of 0.5.
        rescaled: also take archives of other time steps, see `ssldm.radar.windows.WindowIndex`.
        least_lead_frames: what a window must have of them, the others count in no loss; all if not given.
        dry_weight: see `ssldm.radar.windows.WindowIndex`.
        observed: least share of observed pixels.
        corrected: weight each window in the loss as if windows had been drawn evenly, not by their rain.
    """

    context_frames: int = 4
    lead_frames: int = 16
    step_minutes: float = 5.0
    size: int = 256
    coarsenings: tuple[Annotated[float, Field(ge=1, multiple_of=0.5)], ...] = (1,)
    rescaled: bool = False
    least_lead_frames: int | None = None
    dry_weight: float = 0.02
    observed: float = 0.5
    corrected: bool = False

    def build_index(self, series: Sequence[xr.DataArray], *, frames: int, size: int) -> WindowIndex:
        """The windows of ``frames`` frames and ``size`` pixels in some series."""
        spare = 0 if self.least_lead_frames is None else self.lead_frames - self.least_lead_frames
        return WindowIndex(
            series,
            frames=frames,
            size=size,
            step_minutes=self.step_minutes,
            coarsenings=self.coarsenings,
            rescaled=self.rescaled,
            least_frames=max(frames - spare, 1),
            observed=self.observed,
            dry_weight=self.dry_weight,
        )


class OptimisationConfig(Config):
    """How a network is trained: AdamW, linear warm-up, cosine decay, EMA.

    Attributes:
        steps: optimiser steps.
        steps_per_epoch: steps between checkpoints; each `validate_epochs` of them end with a validation.
        batch_size: windows or crops a step.
        clip_norm: largest norm of the gradient.
        ema_decay: decay of the exponential moving average of the weights.
        precision: Lightning's name of the arithmetic; "auto" is "bf16-mixed" where the hardware has it.
        workers: processes that read data.
    """

    steps: int
    steps_per_epoch: int = 200
    validate_epochs: int = 1
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 200
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    precision: Literal["auto", "bf16-mixed", "16-mixed", "32-true"] = "auto"
    workers: int = 0
    seed: int = 0


class AutoencoderTrainingConfig(Config):
    """Autoencoder training: random crops of single frames.

    Attributes:
        crop: side of a crop in pixels.
        loss: weights of the intensity-structure loss.
        adversary: the optional patch adversary.
        lpips: weight of LPIPS; 0 to leave it out.
        lpips_network: its TorchScript, see `ssldm.verification.perceptual`.
    """

    crop: int = 128
    loss: AutoencoderLossConfig = AutoencoderLossConfig()
    adversary: AdversaryConfig = AdversaryConfig()
    lpips: float = 0.0
    lpips_network: Path | None = None
    optimisation: OptimisationConfig

    @model_validator(mode="after")
    def _lpips_has_a_network(self) -> Self:
        if self.lpips and self.lpips_network is None:
            raise ValueError("LPIPS in the loss needs lpips_network, the path of its TorchScript")
        return self


class DenoiserTrainingConfig(Config):
    """Denoiser training: windows whose latents are computed once.

    Attributes:
        windows: number of training windows in the latent cache.
        validation_windows: number of validation windows in the latent cache.
        turned: turn and mirror windows at random, which needs an autoencoder whose latents can be turned.
        deviation_power: power of a latent's expected deviation that is its weight in the loss; 0 weighs all
            alike.
        keep_pixels: keep the context frames in the cache even if this denoiser does not need them, so that
            others that do may share it.
        validation_members, validation_steps: ensemble size and sampler steps of the validation score.
    """

    windows: int = 2000
    validation_windows: int = 8
    turned: bool = False
    deviation_power: float = 0.0
    keep_pixels: bool = False
    validation_members: int = 4
    validation_steps: int = 8
    optimisation: OptimisationConfig


class ResidualTrainingConfig(Config):
    """Training of the network of a residual target, on crops of the denoiser's windows.

    Attributes:
        crop: side of a crop in latent pixels.
        leads: lead times of a window in a step.
        members: of noise alone around what is expected, whose CRPS is the loss.
        scales: sides in pixels of the squares over whose means the CRPS is taken, too.
    """

    crop: int = 16
    leads: int = 2
    members: int = 2
    scales: tuple[int, ...] = (1, 4, 16)
    optimisation: OptimisationConfig = OptimisationConfig(steps=2000, learning_rate=2e-3)


class UNetTrainingConfig(Config):
    """Training of the deterministic U-Net on the windows that the denoiser is trained on.

    Attributes:
        intensity_weight: β in the weight 1 + β (x - x_dry) of the absolute error.
    """

    intensity_weight: float = 0.0
    optimisation: OptimisationConfig = OptimisationConfig(steps=2000, batch_size=4)


class Preset(ModelParts):
    """A model, its training, and the U-Net beside it."""

    scaling: IntensityScaling = IntensityScaling()
    diffusion: DiffusionConfig = DiffusionConfig()
    window: WindowConfig = WindowConfig()
    autoencoder_training: AutoencoderTrainingConfig
    residual_training: ResidualTrainingConfig = ResidualTrainingConfig()
    denoiser_training: DenoiserTrainingConfig
    unet: UNetConfig = UNetConfig()
    unet_training: UNetTrainingConfig = UNetTrainingConfig()

    @model_validator(mode="after")
    def _autoencoder_serves(self) -> Self:
        block = self.autoencoder if isinstance(self.autoencoder, BlockAutoencoderConfig) else None
        if block and self.scaling.kind != "power":
            raise ValueError(f"the block autoencoder needs scaling of kind power, found {self.scaling.kind}")
        if self.denoiser_training.turned and not (block and block.turns):
            raise ValueError(
                "denoiser_training.turned needs a block autoencoder with frequencies alike in y and x"
            )
        return self


def load_preset(name: str, overrides: Sequence[str] = ()) -> Preset:
    """A shipped preset by name, or one in a file, with ``section.key=value`` overrides.

    Raises:
        ConfigurationError: no such preset, a misspelt key, a value of the wrong kind.
    """
    path = Path(name)
    if name in PRESETS:
        text = (files("ssldm") / "presets" / f"{name}.yaml").read_text()
    elif path.is_file():
        text = path.read_text()
    else:
        raise ConfigurationError(f"expected a preset ({', '.join(PRESETS)}) or a file, found {name!r}")
    tree = yaml.safe_load(text)
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{name}: expected sections, found {type(tree).__name__}")
    for override in overrides:
        _set(tree, override)
    try:
        return Preset.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError(f"{name}: {first_fault(error)}") from error


def _set(tree: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator:
        raise ConfigurationError(f"expected key=value, found {override!r}")
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigurationError(f"{override!r}: {section!r} is not a section")
    tree[last] = yaml.safe_load(value)
