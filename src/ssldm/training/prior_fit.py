"""The fit of a prior to the windows of a pack: PyTorch and Lightning are all that it takes, on any device."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.forecast.weights_folder import write_weights
from ssldm.model.storm_model import StormModel
from ssldm.training.autoencoder_weights import MODEL
from ssldm.training.distribution import ALONE, Distribution
from ssldm.training.optimisation import ExportWeights, fit
from ssldm.training.packed_series import PackedSeries
from ssldm.training.packed_windows import PackedWindows
from ssldm.training.prior_module import PriorModule
from ssldm.training.prior_preset import PriorTraining

_VALIDATION_BATCHES = 12
# Frames of a window that the deviations of latents are measured on, and how many are encoded together.
_MEASURED_EVERY, _FRAMES_AT_ONCE = 4, 4


class _Steps(lightning.LightningDataModule):
    """Numbers of steps: the windows themselves are drawn on the device, by these."""

    def __init__(self, steps: int, *, validated: bool) -> None:
        super().__init__()
        self.steps, self.validated = steps, validated

    def train_dataloader(self) -> DataLoader[int]:
        """One number a step."""
        return DataLoader(range(self.steps), batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> list[DataLoader[int]]:
        """One number a batch of windows."""
        batches = range(_VALIDATION_BATCHES)
        return [DataLoader(batches, batch_size=None)] if self.validated else []  # type: ignore[arg-type]


@dataclass(frozen=True)
class PriorWindows:
    """What a prior learns from.

    Attributes:
        train: windows to train on.
        held_out: those of the products that are left out, to validate on, if there are any.
    """

    train: PackedWindows
    held_out: PackedWindows | None


def prior_windows(
    model: StormModel,
    config: PriorTraining,
    series: Sequence[PackedSeries],
    without: Collection[str],
    device: torch.device,
) -> PriorWindows:
    """The windows of a pack's series.

    Args:
        model: whose numbers of frames they have.
        config: sizes.
        series: of the pack.
        without: products to leave out.
        device: where windows are kept.

    Raises:
        ConfigurationError: windows that are no whole blocks.
        ObservationError: no window fits.
    """
    if config.size % model.stride:
        raise ConfigurationError(
            f"expected a multiple of {model.stride}, the stride of the autoencoder, "
            f"found prior_training.size={config.size}"
        )

    def windows(products: Collection[str], coarsenings: Sequence[int]) -> PackedWindows:
        return PackedWindows(
            series,
            products,
            context=model.context_frames,
            lead=model.lead_frames,
            size=config.size,
            coarsenings=coarsenings,
            device=device,
        )

    train = windows({each.product for each in series} - set(without), config.coarsenings)
    return PriorWindows(train, windows(without, (1,)) if without else None)


def trained_on(series: Sequence[PackedSeries], coarsenings: Sequence[int]) -> dict[str, Any]:
    """What a model's configuration says of the series that it was trained on, see `TrainedFor`."""
    described = {", ".join(part for part in (each.product, each.period) if part) for each in series}
    found: dict[str, Any] = {"training_data": tuple(sorted(described))}
    if sizes := [each.pixel_size for each in series if each.pixel_size]:
        found["pixel_size"] = (round(min(sizes) * min(coarsenings)), round(max(sizes) * max(coarsenings)))
    return found


@torch.no_grad()
def measure_latents(model: StormModel, windows: PackedWindows, seed: int, count: int = 32) -> None:
    """Set the deviation of the model's latents, from frames of some windows.

    Raises:
        ObservationError: all of them are dry.
    """
    rng = np.random.default_rng((seed, 0))
    drawn = windows.draw(rng, count)
    last = drawn.region.of(drawn.context[:, -1:])
    frames = torch.cat([last, drawn.observed], dim=1)[:, ::_MEASURED_EVERY].flatten(0, 1)
    frames = frames[frames.isfinite().flatten(1).any(dim=1)].nan_to_num(nan=0.0)
    device = model.latent_std.device
    network = model.config.scaling.to_network(frames)[:, None]
    latents = torch.cat(
        [model.autoencoder.encode(part.to(device))[0] for part in network.split(_FRAMES_AT_ONCE)]
    )
    model.latent_std.copy_(latents.std(dim=(0, 2, 3)))
    if not bool((model.latent_std > 0.0).all()):
        raise ObservationError(
            "expected rain in the windows to train on, found none in those that were drawn"
        )


def fit_prior(
    model: StormModel,
    config: PriorTraining,
    windows: PriorWindows,
    out: Path,
    *,
    resume: bool = False,
    distribution: Distribution = ALONE,
    callbacks: Iterable[lightning.Callback] = (),
) -> Path:
    """Train the prior of a model; returns the folder of the whole model's weights.

    Args:
        model: with an autoencoder's weights and the deviation of its latents.
        config: losses and optimisation.
        windows: see `prior_windows`.
        out: folder of the run: checkpoint, logs, `model/`.
        resume: go on from the run's last checkpoint.
        distribution: over how many processes the training is spread.
        callbacks: more of Lightning's.
    """
    # The averaging of weights would round them.
    fixed = {
        name: value.cpu().clone()
        for name, value in model.state_dict().items()
        if not name.startswith("prior.")
    }

    @rank_zero_only
    def export() -> None:
        state = {name: value.cpu() for name, value in model.state_dict().items()}
        write_weights(out / MODEL, model.config, state | fixed)

    lightning.seed_everything(config.optimisation.seed, verbose=False)
    module = PriorModule(model.to(windows.train.rates.device), config, windows.train, windows.held_out)
    data = _Steps(config.optimisation.steps, validated=windows.held_out is not None)
    extra = [ExportWeights(export), *callbacks]
    fit(
        module,
        data,
        config.optimisation,
        out,
        resume=resume,
        distribution=distribution,
        extra_callbacks=extra,
    )
    model.load_state_dict(model.state_dict() | fixed)
    export()
    return out / MODEL
