"""Frames in pixel space: random crops in space and time, turned at random, as Lightning data."""

from collections.abc import Sequence

import lightning
import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssldm.model.scaling import IntensityScaling
from ssldm.radar.windows import WindowIndex, turn
from ssldm.training.optimisation_config import OptimisationConfig
from ssldm.training.preset import Preset
from ssldm.training.processes import process_count
from ssldm.training.sampler import StepSampler, own_examples

Batch = tuple[Tensor, Tensor]


class FrameDataset(Dataset[Batch]):
    """Example n: a crop ``(t, h, w)`` in network units and the weight of its pixels, drawn from (seed, n).

    The weight is 0 where nothing was observed, else 1 or, where asked, the correction of the sampling.
    """

    def __init__(
        self,
        index: WindowIndex,
        scaling: IntensityScaling,
        seed: int,
        length: int,
        *,
        corrected: bool = False,
    ) -> None:
        self.index = index
        self.scaling = scaling
        self.seed = seed
        self.length = length
        self.corrected = corrected

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, n: int) -> Batch:
        rng = np.random.default_rng((self.seed, n))
        window = self.index.draw(rng)
        rate = turn(self.index.read(window), int(rng.integers(8)))
        observed = torch.from_numpy(np.isfinite(rate))
        frame = self.scaling.to_network(torch.from_numpy(np.nan_to_num(rate, nan=0.0)))
        return frame, observed.float() * (self.index.correction(window) if self.corrected else 1.0)


class FrameData(lightning.LightningDataModule):
    """Training and validation crops of some frames.

    Args:
        preset: says which windows there are and how intensity is scaled.
        train, validation: series of the two splits.
        optimisation: batches and seed of the training that they are for.
        frames, size: of a crop.
        validation_batches: number of batches in a validation.
    """

    def __init__(
        self,
        preset: Preset,
        train: Sequence[xr.DataArray],
        validation: Sequence[xr.DataArray],
        *,
        optimisation: OptimisationConfig,
        frames: int,
        size: int,
        validation_batches: int = 16,
    ) -> None:
        super().__init__()
        self.preset = preset
        self.optimisation = optimisation
        self.validation_batches = validation_batches
        self.train_index = preset.window.build_index(train, frames=frames, size=size)
        self.validation_index = preset.window.build_index(validation, frames=frames, size=size)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Crops from the step that the trainer has reached."""
        if (trainer := self.trainer) is None:
            raise RuntimeError("FrameData is attached to a trainer before its loaders are made")
        run = self.optimisation
        sampler = StepSampler(lambda: trainer.global_step, run.steps_per_epoch, run.batch_size)
        return DataLoader(
            FrameDataset(
                self.train_index,
                self.preset.scaling,
                run.seed,
                (run.steps + 1) * run.batch_size,
                corrected=self.preset.window.corrected,
            ),
            batch_size=sampler.rows,
            sampler=sampler,
            num_workers=run.workers,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """The same crops each time."""
        run = self.optimisation
        length = self.validation_batches * run.batch_size
        return DataLoader(
            FrameDataset(self.validation_index, self.preset.scaling, run.seed + 1, length),
            batch_size=run.batch_size // process_count(),
            sampler=own_examples(length),
        )
