"""Who is compared: trained models, baselines, forecasts in files. Values that can be sent to a process."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import xarray as xr

from ssldm.errors import ConfigurationError, ModelError
from ssldm.forecast.dataset import nowcast_dataset
from ssldm.forecast.weights_folder import read_config, weights_at, weights_hash
from ssldm.radar.observations import time_step
from ssldm.report.code_identity import code_identity
from ssldm.verification.baselines import BASELINES, ENSEMBLES, BaselineName, Setting

if TYPE_CHECKING:
    from ssldm.diffusion.schedule import SamplerName
    from ssldm.forecast.unet_forecaster import UNetForecasterConfig
    from ssldm.model.trained_for import TrainedFor

# From the context (time, y, x) in mm/h and a number of lead frames to a nowcast dataset.
Forecaster = Callable[[xr.DataArray, int], xr.Dataset]


def noted(
    forecaster: Forecaster, context: xr.DataArray, lead_frames: int
) -> tuple[xr.Dataset, tuple[str, ...]]:
    """A forecast, and what this package remarked on it, a line each.

    Args:
        forecaster: makes it.
        context: ``(time, y, x)`` in mm/h.
        lead_frames: how many.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = forecaster(context, lead_frames)
    said = {str(w.message) for w in caught if w.category.__module__.startswith("ssldm.")}
    return dataset, tuple(sorted(" ".join(text.split()) for text in said))


class Contestant(Protocol):
    """What makes forecasts.

    Attributes:
        name: in tables and figures.
        kept: whether its forecasts are to be kept beside the report.
        frames: context frames that it needs and lead frames that it has; None where it makes do with any.
    """

    @property
    def name(self) -> str: ...

    @property
    def kept(self) -> bool: ...

    @property
    def frames(self) -> tuple[int, int] | None: ...

    def identity(self) -> dict[str, str | int]:
        """All that its forecasts depend on, beside the observations."""
        ...

    def load(self) -> Forecaster:
        """Make ready to forecast, in the process that will do so."""
        ...


@dataclass(frozen=True)
class EnsembleSettings:
    """How ensembles are made, see `ssldm.forecast.nowcaster.Nowcaster.nowcast`."""

    members: int = 20
    steps: int = 10
    sampler: "SamplerName" = "dpm-solver++"
    seed: int = 0
    device: str = "auto"

    def seed_at(self, context: xr.DataArray) -> int:
        """The seed of one forecast: another one at each time, or all would share their luck."""
        minutes = int((context["time"].values[-1] - np.datetime64(0, "s")) / np.timedelta64(1, "m"))
        return int(np.random.SeedSequence((self.seed, minutes)).generate_state(1)[0])


@dataclass(frozen=True)
class ModelContestant:
    """A trained ensemble model, see `ssldm.forecast.nowcaster.Nowcaster`."""

    name: str
    folder: str
    frames: tuple[int, int]
    settings: EnsembleSettings
    kept: bool = True

    @property
    def source(self) -> str:
        """Name of the model and hash of its weights, as `ssldm.forecast.nowcaster.Nowcaster.source`."""
        from ssldm.forecast.model_config import read_model_config

        return f"{read_model_config(Path(self.folder)).name} {weights_hash(Path(self.folder))}"

    @property
    def paired(self) -> bool:
        """Whether members 2k and 2k + 1 have opposite noise."""
        from ssldm.forecast.model_config import read_model_config
        from ssldm.model.storm_model import StormConfig

        return isinstance(read_model_config(Path(self.folder)), StormConfig)

    def identity(self) -> dict[str, str | int]:
        """Weights, configuration, settings, arithmetic and code."""
        import torch

        from ssldm.forecast.nowcaster import resolve_device
        from ssldm.model.precision import has_fast_bfloat16

        settings, device = self.settings, resolve_device(self.settings.device)
        return {
            "weights": weights_hash(Path(self.folder)),
            **code_identity(__name__, "ssldm.forecast.nowcaster"),
            "device": device,
            "bfloat16": has_fast_bfloat16(torch.device(device)),
            "members": settings.members,
            "steps": settings.steps,
            "sampler": settings.sampler,
            "seed": settings.seed,
        }

    def load(self) -> Forecaster:
        """Load the weights; one thread, so that rounding does not depend on the number of processes."""
        import torch

        from ssldm.forecast.nowcaster import Nowcaster

        torch.set_num_threads(1)
        settings = self.settings
        nowcaster = Nowcaster.from_pretrained(self.folder, device=settings.device)

        def forecast(context: xr.DataArray, lead_frames: int) -> xr.Dataset:
            return nowcaster.nowcast(
                context,
                members=settings.members,
                steps=settings.steps,
                sampler=settings.sampler,
                seed=settings.seed_at(context),
            ).isel(lead_time=slice(0, lead_frames))

        return forecast


@dataclass(frozen=True)
class UNetContestant:
    """A trained U-Net, see `ssldm.forecast.unet_forecaster`."""

    name: str
    folder: str
    frames: tuple[int, int]
    kept: bool = True

    def identity(self) -> dict[str, str | int]:
        """Weights, configuration and code."""
        code = code_identity(__name__, "ssldm.forecast.unet_forecaster", "ssldm.forecast.dataset")
        return {"weights": weights_hash(Path(self.folder)), **code}

    def load(self) -> Forecaster:
        """Load the weights, for one thread."""
        import torch

        from ssldm.forecast.unet_forecaster import UNetForecaster

        torch.set_num_threads(1)
        forecaster = UNetForecaster.from_pretrained(Path(self.folder))

        def forecast(context: xr.DataArray, lead_frames: int) -> xr.Dataset:
            return nowcast_dataset(
                forecaster.forecast(context)[:, :lead_frames],
                context,
                time_step(context),
                source=forecaster.source,
                seed=0,
                settings=f"verify --model {self.folder}",
            )

        return forecast


@dataclass(frozen=True)
class BaselineContestant:
    """One of `ssldm.verification.baselines`."""

    name: BaselineName
    settings: EnsembleSettings
    frames: None = None
    kept: bool = True

    def identity(self) -> dict[str, str | int]:
        """Settings, where they matter, and code."""
        settings = {"members": self.settings.members, "seed": self.settings.seed}
        return {
            "baseline": self.name,
            **code_identity(__name__, "ssldm.verification.baselines", "ssldm.forecast.dataset"),
            **(settings if self.name in ENSEMBLES else {}),
        }

    def load(self) -> Forecaster:
        """Nothing to prepare."""

        def forecast(context: xr.DataArray, lead_frames: int) -> xr.Dataset:
            members, seed = self.settings.members, self.settings.seed_at(context)
            setting = Setting.of(context, lead_frames=lead_frames, members=members, seed=seed)
            return nowcast_dataset(
                BASELINES[self.name](setting),
                context,
                time_step(context),
                source=f"{self.name}, pysteps {version('pysteps')}",
                seed=seed,
                settings=f"verify --baselines {self.name} --members {members} --seed {self.settings.seed}",
            )

        return forecast


def trained(text: str, settings: EnsembleSettings) -> Contestant:
    """A trained model, ensemble or U-Net.

    Args:
        text: shipped model, folder or hub repository, or ``NAME=MODEL``; the name is else that in its
            configuration.
        settings: of the ensemble.

    Raises:
        ModelError: nothing of that name, or something else.
    """
    from ssldm.forecast import nowcaster, unet_forecaster
    from ssldm.forecast.model_config import read_model_config

    name, _, model = text.rpartition("=")
    folder = weights_at(model, nowcaster.SHIPPED, {})
    config: TrainedFor | UNetForecasterConfig
    # Workers may run in other folders.
    folder = folder.absolute()
    try:
        config = read_config(folder, unet_forecaster.UNetForecasterConfig)
    except ModelError:
        config = read_model_config(folder)
    name, frames = name or config.name, (config.context_frames, config.lead_frames)
    if isinstance(config, unet_forecaster.UNetForecasterConfig):
        return UNetContestant(name, os.fspath(folder), frames)
    return ModelContestant(name, os.fspath(folder), frames, settings)


def baseline(name: str, settings: EnsembleSettings) -> Contestant:
    """A baseline by its name in `BASELINES`.

    Raises:
        ConfigurationError: none of that name.
    """
    for known in BASELINES:
        if name == known:
            return BaselineContestant(known, settings)
    raise ConfigurationError(f"expected baselines among {', '.join(BASELINES)}, found {name}")
