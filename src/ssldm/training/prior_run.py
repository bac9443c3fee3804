"""The training of a prior from a pack: PyTorch and Lightning are all that it takes, on any device."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import lightning
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from ssldm.model.storm_model import StormModel
from ssldm.training.optimisation import CHECKPOINT, fit
from ssldm.training.packed_series import read_pack
from ssldm.training.packed_windows import PackedWindows
from ssldm.training.prior_module import PriorModule
from ssldm.training.prior_preset import PriorTraining

WEIGHTS = "prior.safetensors"
_VALIDATION_BATCHES = 12


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


def train_prior(
    model: StormModel,
    config: PriorTraining,
    pack: Path,
    out: Path,
    *,
    without: Collection[str] = (),
    device: torch.device,
    callbacks: Iterable[lightning.Callback] = (),
) -> Path:
    """Train the prior of a model; returns the file of its weights. Goes on where an earlier run stopped.

    Args:
        model: with an autoencoder's weights.
        config: sizes, losses and optimisation.
        pack: of `ssldm.training.pack`.
        out: folder of the run: checkpoint, logs, weights.
        without: products to leave out; they are what it is validated on, if there are any.
        device: where windows are kept.
        callbacks: more of Lightning's.
    """
    if (weights := out / WEIGHTS).exists():
        model.prior.load_state_dict(load_file(weights))
        return weights
    series = read_pack(pack)
    products = {each.product for each in series}
    sizes: dict[str, Any] = {
        "context": model.context_frames,
        "lead": model.lead_frames,
        "size": config.size,
        "device": device,
    }
    train = PackedWindows(
        series, [name for name in products if name not in without], coarsenings=config.coarsenings, **sizes
    )
    held_out = PackedWindows(series, without, coarsenings=(1,), **sizes) if without else None
    module = PriorModule(model.to(device), config, train, held_out)
    data = _Steps(config.optimisation.steps, validated=held_out is not None)
    lightning.seed_everything(config.optimisation.seed, verbose=False)
    fit(module, data, config.optimisation, out, resume=(out / CHECKPOINT).exists(), extra_callbacks=callbacks)
    save_file({name: value.cpu().contiguous() for name, value in model.prior.state_dict().items()}, weights)
    return weights
