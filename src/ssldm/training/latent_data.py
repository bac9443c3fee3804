"""The latent cache as Lightning data."""

from collections.abc import Callable

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.radar.windows import turn
from ssldm.training.latent_cache import LatentCache
from ssldm.training.optimisation_config import OptimisationConfig
from ssldm.training.sampler import StepSampler, own_examples

Example = dict[str, Tensor]


def turn_example(model: LatentDiffusion, example: Example, symmetry: int) -> Example:
    """An example of the latent cache as if its window had been turned before it was encoded."""

    def turned(name: str, value: Tensor) -> Tensor:
        if name.endswith("_latent"):
            return model.turn(value.to(model.latent_mean.device), symmetry).cpu()
        return torch.from_numpy(turn(value.numpy(), symmetry)) if value.ndim else value

    return {name: turned(name, value) for name, value in example.items()}


def shuffled(seed: int, n: int, count: int) -> int:
    """The n-th number of an endless sequence of permutations of ``count`` numbers, drawn from the seed."""
    turn, position = divmod(n, count)
    return int(np.random.default_rng((seed, turn)).permutation(count)[position])


class ShuffledCache(Dataset[Example]):
    """Example n is the n-th of an endless sequence of permutations of the cache, drawn from the seed.

    Args:
        model: turns each example by one of the eight symmetries of its windows, drawn anew each time; none
            to turn nothing.
    """

    def __init__(self, cache: LatentCache, seed: int, model: LatentDiffusion | None = None) -> None:
        self.cache = cache
        self.seed = seed
        self.model = model

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, n: int) -> Example:
        example = self.cache[shuffled(self.seed, n, len(self.cache))]
        if self.model is None:
            return example
        return turn_example(self.model, example, int(np.random.default_rng((self.seed, 1, n)).integers(8)))


class LatentData(lightning.LightningDataModule):
    """Training examples in their order, validation windows one by one.

    Args:
        config: batches and seed.
        caches: makes the windows to train and to validate on unless they are there, and opens them.
        turning: see `ShuffledCache`.
    """

    def __init__(
        self,
        config: OptimisationConfig,
        caches: Callable[[], tuple[LatentCache, LatentCache]],
        turning: LatentDiffusion | None = None,
    ) -> None:
        super().__init__()
        self.prepare_data_per_node = False
        self.config = config
        self.caches = caches
        self.turning = turning

    def prepare_data(self) -> None:
        """Make the windows, in one process; the others wait."""
        self.caches()

    def setup(self, stage: str) -> None:  # noqa: ARG002
        """Open the windows, in each process."""
        train, self.validation_cache = self.caches()
        self.train_examples = ShuffledCache(train, self.config.seed, self.turning)

    def train_dataloader(self) -> DataLoader[Example]:
        """Examples from the step that the trainer has reached."""
        if (trainer := self.trainer) is None:
            raise RuntimeError("LatentData is attached to a trainer before its loaders are made")
        config = self.config
        sampler = StepSampler(lambda: trainer.global_step, config.steps_per_epoch, config.batch_size)
        return DataLoader(
            self.train_examples,
            batch_size=sampler.rows,
            sampler=sampler,
        )

    def val_dataloader(self) -> DataLoader[Example]:
        """The same windows each time."""
        return DataLoader(
            self.validation_cache, batch_size=1, sampler=own_examples(len(self.validation_cache))
        )
