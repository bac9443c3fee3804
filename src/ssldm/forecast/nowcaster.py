"""`Nowcaster`: observations in, an ensemble nowcast out."""

import warnings
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
import torch
import xarray as xr
from huggingface_hub import ModelHubMixin
from numpy.typing import NDArray

from ssldm.checks import one_of, whole_number
from ssldm.diffusion.sampling import MOST_MEMBERS, MOST_SEED
from ssldm.diffusion.schedule import DiffusionConfig, SamplerName
from ssldm.errors import ArgumentError, ConfigurationError, MissingModelError
from ssldm.forecast.dataset import nowcast_dataset
from ssldm.forecast.members import OnStart, diffusion_members, storm_members
from ssldm.forecast.model_config import read_model_config
from ssldm.forecast.output_step import in_steps_of
from ssldm.forecast.speckle import remove_speckle
from ssldm.forecast.weights_folder import (
    load_weights,
    read_card,
    weights_at,
    weights_hash,
    write_weights,
)
from ssldm.model.latent_diffusion import LatentDiffusion, ModelConfig
from ssldm.model.precision import has_fast_bfloat16
from ssldm.model.storm_model import StormConfig, StormModel
from ssldm.paper.autoencoder import Autoencoder
from ssldm.radar.context import Duration, Time, duration_of, latest_context, most_believed
from ssldm.radar.observations import pixel_size, time_step
from ssldm.radar.times import minutes_of

SHIPPED = ("small",)
LONGEST = np.timedelta64(180, "m")
"""Of forecasts beyond the trained lead times, see `ssldm.forecast.storm_ensemble`."""
Device = Literal["auto", "cpu", "cuda", "mps"] | str


class InputDepartsFromTraining(UserWarning):
    """The observations differ from what the weights were trained for."""


class Nowcaster(ModelHubMixin, library_name="ssldm", license="apache-2.0"):
    """A trained model, ready to forecast.

    Args:
        model: network and statistics.
        source: identifier and hash of the weights, for the forecast's attributes.
        card: text of the model card.
        device: where to compute; "auto" takes an accelerator where there is one.
    """

    def __init__(
        self,
        model: LatentDiffusion | StormModel,
        source: str,
        card: str | None = None,
        device: Device = "auto",
    ) -> None:
        self.model = _prepare(model, device)
        self.source = source
        self.card = card

    @property
    def config(self) -> ModelConfig | StormConfig:
        """What the weights are and were trained for."""
        return self.model.config

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the mixin's other arguments go to the hub
        cls, name: str | Path, *, device: Device = "auto", **hub: Any
    ) -> Self:
        """Load weights that are shipped, in a folder, or on the Hugging Face Hub.

        Args:
            name: "small", a folder with `model.safetensors` and `config.json`, or "user/repository".
            device: see `Nowcaster`.
            **hub: passed to `huggingface_hub.snapshot_download` (revision, token, cache_dir).

        Raises:
            ModelError: nothing of that name, or weights that cannot be loaded.
        """
        folder = weights_at(str(name), SHIPPED, hub)
        config = read_model_config(folder)
        model = config.build()
        load_weights(model, folder)
        return cls(
            model,
            f"{config.name} {weights_hash(folder)}",
            read_card(folder),
            device,
        )

    def _save_pretrained(self, save_directory: Path) -> None:
        write_weights(save_directory, self.config, self.model.state_dict(), self.card)

    def nowcast(
        self,
        observations: xr.DataArray,
        *,
        members: int = 20,
        steps: int = 10,
        lead_time: Duration | None = None,
        output_step: Duration | None = None,
        seed: int = 0,
        sampler: SamplerName = "dpm-solver++",
        reference_time: Time | None = None,
        max_age: Duration | None = None,
        bridge: bool = False,
        motion: NDArray[np.float32] | None = None,
        lazy: bool = False,
        on_start: OnStart = lambda _: lambda: None,
    ) -> xr.Dataset:
        """Forecast from the last frames of some observations.

        NaN stands exactly where any context frame is unobserved at the pixel, or where the motion brings
        in air that was unobserved or outside the domain.

        Args:
            observations: ``(time, y, x)`` in mm/h; the last `ModelConfig.context_frames` frames are used.
            members: ensemble size.
            steps: calls of the denoiser a member, for models that have one.
            lead_time: length of the forecast, a multiple of the time step; the model's own where None. Only
                these frames are computed, and the denoiser sees no others. Models without a denoiser go on
                beyond their own, up to three hours (`ssldm.forecast.storm_ensemble`).
            output_step: of the result, a multiple of the time step: rates are means over it.
            seed: member k depends on (seed, k) alone.
            sampler: see `ssldm.diffusion.schedule`.
            reference_time, max_age, bridge: see `ssldm.radar.context.latest_context`.
            motion: ``(2, y, x)`` in pixels a step, x then y (to later rows), finite; tracked if None.
            lazy: make members when they are read, in `ssldm.write_nowcast` one pair after the other, so that
                an ensemble need not fit into memory; only of models without a denoiser.
            on_start: called with the number of pairs of members to come, or of calls of a denoiser; what it
                returns is called after each.

        Returns:
            ``precipitation_rate (member, lead_time, y, x)`` in mm/h, see `ssldm.forecast.dataset`.

        Raises:
            NoDataError: too few frames, too old, or nothing observed in them.
            ObservationError: unequal steps, values that are no rain.
            ConfigurationError: arguments out of their bounds, a lead time that is not to be had.
        """
        members = whole_number("members", members, 1, MOST_MEMBERS)
        diffusion = self.config.diffusion if isinstance(self.config, ModelConfig) else DiffusionConfig()
        steps = whole_number("steps", steps, 1, diffusion.timesteps)
        seed = whole_number("seed", seed, 0, MOST_SEED)
        one_of("sampler", sampler, get_args(SamplerName))
        length = None if lead_time is None else lead_time_of(lead_time)
        output = None if output_step is None else lead_time_of(output_step, "an output step")
        if not callable(on_start):
            raise ConfigurationError(f"expected a function as on_start, found {on_start!r}")
        context = latest_context(
            observations,
            self.config.context_frames,
            reference_time=reference_time,
            max_age=max_age,
            bridge=bridge,
        )
        step = time_step(context)
        self._warn_of_departures(context, step)
        frames = self._lead_frames(length, step)
        highest = np.float32(most_believed(context))
        if motion is not None:
            motion = _checked(motion, context.shape[1:])
        values = context.values
        if self.config.remove_speckle:
            values = remove_speckle(torch.from_numpy(values)).numpy()
        if isinstance(self.model, StormModel):
            rate = storm_members(
                self.model, values, frames, members, seed, on_start, highest, motion, lazy=lazy
            )
        else:
            rate = diffusion_members(
                self.model, values, frames, members, seed, steps, sampler, on_start, motion
            )
            np.minimum(rate, highest, out=rate)
        forecast = nowcast_dataset(
            rate,
            context,
            step,
            source=self.source,
            seed=seed,
            paired=isinstance(self.model, StormModel),
            settings=f"nowcast --members {members} --steps {steps} --seed {seed} --sampler {sampler}",
        )
        return forecast if output is None else in_steps_of(forecast, output)

    def _lead_frames(self, lead_time: np.timedelta64 | None, step: np.timedelta64) -> int:
        if lead_time is None:
            return self.config.lead_frames
        frames = lead_time / step
        longest = step * self.config.lead_frames
        if isinstance(self.model, StormModel):
            longest = max(longest, LONGEST - LONGEST % step)
        if not float(frames).is_integer() or not step <= lead_time <= longest:
            raise ArgumentError(
                f"expected a lead time in steps of {_minutes(step):g} min up to {_minutes(longest):g} min, "
                f"found {_minutes(lead_time):g} min"
            )
        return int(frames)

    def _warn_of_departures(self, context: xr.DataArray, step: np.timedelta64) -> None:
        departures = []
        steps = np.diff(context["time"].values)
        if (steps != step).any():
            found = " to ".join(dict.fromkeys(minutes_of(each) for each in (steps.min(), steps.max())))
            departures.append(f"frames {found} minutes apart, taken for steps of {minutes_of(step)}")
        if _minutes(step) != self.config.step_minutes:
            departures.append(f"time step {_minutes(step):g} min, trained for {self.config.step_minutes:g}")
        size, (smallest, largest) = pixel_size(context), self.config.pixel_size
        if not 0.9 * smallest <= size <= 1.1 * largest:
            departures.append(f"pixels of {size:.0f} m, trained for {smallest:.0f} to {largest:.0f}")
        for departure in departures:
            warnings.warn(departure, InputDepartsFromTraining, stacklevel=3)


def lead_time_of(value: Duration, what: str = "a lead time") -> np.timedelta64:
    """The length of a forecast, or of something else of it.

    Raises:
        ArgumentError: no duration.
    """
    try:
        return duration_of(value)
    except ConfigurationError as error:
        raise ArgumentError(f"expected {what} like '80min', found {value!r}") from error


def _checked(motion: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    given = np.asarray(motion, np.float32)
    if given.shape != (2, *size) or not np.isfinite(given).all():
        raise ArgumentError(f"expected a finite motion {(2, *size)}, found {given.shape}")
    return given


def _minutes(step: np.timedelta64 | pd.Timedelta) -> float:
    return float(pd.Timedelta(step) / pd.Timedelta("1min"))


def resolve_device(device: Device) -> str:
    """What "auto" means on this machine.

    Raises:
        MissingModelError: no name of a device.
    """
    if not isinstance(device, str):
        raise MissingModelError(f"expected a device (auto, cpu, cuda, …), found {device!r}")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _prepare(model: LatentDiffusion | StormModel, device: Device) -> LatentDiffusion | StormModel:
    device = resolve_device(device)
    try:
        model = model.to(device).eval().requires_grad_(False)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise MissingModelError(f"device {device!r}: {str(error).splitlines()[0]}") from error
    if isinstance(model, StormModel):
        return model
    if has_fast_bfloat16(torch.device(device)):
        model.denoiser.bfloat16()
        # A linear code of rain rates loses what bfloat16 rounds off.
        if isinstance(model.autoencoder, Autoencoder):
            model.autoencoder.bfloat16()
    elif device == "cpu":  # nearly halves the time of the autoencoder in float32
        model.autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
