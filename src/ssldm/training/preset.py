"""Presets: every number that a training run depends on, in one strict, shipped file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self

import xarray as xr
from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from ssldm.config import Config, first_fault
from ssldm.diffusion.schedule import DiffusionConfig
from ssldm.errors import ConfigurationError
from ssldm.model.displacement import DisplacementConfig
from ssldm.model.latent_diffusion import ModelParts
from ssldm.model.misfits import misfits_of_frames, turning_fault
from ssldm.model.prior import PriorConfig
from ssldm.model.scaling import IntensityScaling
from ssldm.model.storm_noise import StormNoiseConfig
from ssldm.paper.unet import UNetConfig
from ssldm.postprocess.steps import PostprocessStep
from ssldm.radar.windows import WindowIndex
from ssldm.training.adversary import AdversaryConfig
from ssldm.training.autoencoder_loss import AutoencoderLossConfig
from ssldm.training.optimisation_config import OptimisationConfig
from ssldm.training.preset_file import override, read_preset
from ssldm.training.prior_preset import PriorTraining


class WindowConfig(Config):
    """What a training example is.

    Attributes:
        context_frames: number of observed frames, T_in.
        lead_frames: number of forecast frames, T_out.
        step_minutes: time step of the archives.
        size: side of a window in pixels.
        coarsenings: block averages that windows are also taken from, multiples of 0.5.
        rescaled: also take archives of other time steps, thinned or coarsened until rain moves as many pixels
            a frame, see `ssldm.radar.windows.WindowIndex`.
        least_lead_frames: lead frames that a window must have, the others count in no loss; all if not given.
        dry_weight: importance of a window without rain; that of a wet one is its wet share plus this.
        observed: least share of observed pixels.
        corrected: weight each window in the loss as if windows had been drawn evenly, not by their rain.
    """

    context_frames: int = Field(default=4, ge=2)
    lead_frames: PositiveInt = 16
    step_minutes: PositiveFloat = 5.0
    size: PositiveInt = 256
    coarsenings: Annotated[
        tuple[Annotated[float, Field(ge=1, multiple_of=0.5)], ...], Field(min_length=1)
    ] = (1,)
    rescaled: bool = False
    least_lead_frames: PositiveInt | None = None
    dry_weight: NonNegativeFloat = 0.02
    observed: float = Field(default=0.5, ge=0.0, le=1.0)
    corrected: bool = False

    @model_validator(mode="after")
    def _has_its_frames(self) -> Self:
        if self.least_lead_frames is not None and self.least_lead_frames > self.lead_frames:
            raise ValueError(
                f"expected least_lead_frames of at most lead_frames={self.lead_frames}, "
                f"found {self.least_lead_frames}"
            )
        return self

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


class AutoencoderTrainingConfig(Config):
    """Autoencoder training: random crops of single frames.

    Attributes:
        crop: side of a crop in pixels.
        loss: weights of the intensity-structure loss.
        adversary: the optional patch adversary.
        lpips: weight of LPIPS; 0 to leave it out.
        lpips_network: its TorchScript, see `ssldm.verification.perceptual`.
        optimisation: steps and rates.
    """

    crop: PositiveInt = 128
    loss: AutoencoderLossConfig = AutoencoderLossConfig()
    adversary: AdversaryConfig = AdversaryConfig()
    lpips: NonNegativeFloat = 0.0
    lpips_network: Path | None = None
    optimisation: OptimisationConfig

    @model_validator(mode="after")
    def _loss_can_be_taken(self) -> Self:
        if self.lpips and not (self.lpips_network and self.lpips_network.is_file()):
            found = self.lpips_network or "none"
            raise ValueError(
                f"lpips={self.lpips:g} needs lpips_network, the path of its TorchScript, found {found}"
            )
        if self.adversary.weight and self.crop < (least := self.adversary.least_side):
            raise ValueError(
                f"adversary.layers={self.adversary.layers} need a crop of at least {least} pixels, "
                f"found {self.crop}"
            )
        if self.crop < self.loss.window:
            raise ValueError(f"expected loss.window of at most crop={self.crop}, found {self.loss.window}")
        return self


class DenoiserTrainingConfig(Config):
    """Denoiser training: windows whose latents are computed once.

    Attributes:
        windows: number of training windows in the latent cache.
        validation_windows: number of validation windows in the latent cache.
        turned: turn and mirror windows at random, which needs an autoencoder whose latents can be turned.
        keep_pixels: keep the context frames in the cache even if this denoiser does not need them, so that
            others that do may share it.
        validation_members, validation_steps: ensemble size and sampler steps of the validation score.
        optimisation: steps and rates.
    """

    windows: PositiveInt = 2000
    validation_windows: PositiveInt = 8
    turned: bool = False
    keep_pixels: bool = False
    validation_members: int = Field(default=4, ge=2)
    validation_steps: PositiveInt = 8
    optimisation: OptimisationConfig


class UNetTrainingConfig(Config):
    """Training of the deterministic U-Net on the windows that the denoiser is trained on.

    Attributes:
        intensity_weight: β in the weight 1 + β (x - x_dry) of the absolute error.
        optimisation: steps and rates.
    """

    intensity_weight: NonNegativeFloat = 0.0
    optimisation: OptimisationConfig = OptimisationConfig(steps=2000, batch_size=4)


class Preset(ModelParts):
    """A model with a denoiser or a prior, its training, and the U-Net beside it.

    Attributes:
        window: what a training example is.
        autoencoder_training: how the autoencoder is trained.
        denoiser_training: how the denoiser is trained.
        prior: the network that makes the expected latents and their deviations.
        noise: random deviations from what is expected, with the structure of the storm.
        displacement: random displacements of the extrapolated rain.
        postprocess: what a model with a prior does to members, in this order.
        prior_training: how the prior is trained.
        unet: the deterministic U-Net, a baseline.
        unet_training: how the U-Net is trained.
    """

    scaling: IntensityScaling = IntensityScaling()
    diffusion: DiffusionConfig = DiffusionConfig()
    window: WindowConfig = WindowConfig()
    autoencoder_training: AutoencoderTrainingConfig
    denoiser_training: DenoiserTrainingConfig
    prior: PriorConfig = PriorConfig()
    noise: StormNoiseConfig = StormNoiseConfig()
    displacement: DisplacementConfig = DisplacementConfig()
    postprocess: tuple[PostprocessStep, ...] = ()
    prior_training: PriorTraining = PriorTraining(
        optimisation=OptimisationConfig(steps=1500, steps_per_epoch=375, validate_epochs=2, batch_size=8)
    )
    unet: UNetConfig = UNetConfig()
    unet_training: UNetTrainingConfig = UNetTrainingConfig()

    def _misfits(self) -> Iterator[str]:
        window, stride = self.window, self.autoencoder.stride
        yield from super()._misfits()
        yield from misfits_of_frames(self, window.context_frames, window.lead_frames, "window.")
        if self.denoiser_training.turned and (fault := turning_fault(self)):
            yield f"denoiser_training.turned needs {fault}"
        yield from _no_multiple(
            f"window.size={window.size}",
            window.size,
            stride * self.denoiser.stride,
            "autoencoder and denoiser",
        )
        crop = self.autoencoder_training.crop
        yield from _no_multiple(f"autoencoder_training.crop={crop}", crop, stride, "autoencoder")
        if (steps := self.denoiser_training.validation_steps) > self.diffusion.timesteps:
            yield (
                f"expected denoiser_training.validation_steps of at most "
                f"diffusion.timesteps={self.diffusion.timesteps}, found {steps}"
            )


def load_preset(name: str, overrides: Sequence[str] = ()) -> Preset:
    """A shipped preset by name, or one in a file, with ``section.key=value`` overrides.

    Raises:
        ConfigurationError: no such preset, a misspelt key, a value of the wrong kind, parts that do not fit.
    """
    tree = read_preset(name)
    for text in overrides:
        override(tree, text, Preset)
    try:
        return Preset.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError(f"{name}: {first_fault(error, Preset)}") from error


def _no_multiple(what: str, size: int, stride: int, whose: str) -> Iterator[str]:
    if size % stride:
        yield f"expected a multiple of {stride}, the stride of {whose}, found {what}"
