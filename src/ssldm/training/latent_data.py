"""The latent cache as Lightning data."""

import lightning
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssldm.training.latent_cache import LatentCache
from ssldm.training.preset import OptimisationConfig
from ssldm.training.sampler import StepSampler

Example = dict[str, Tensor]


class ShuffledCache(Dataset[Example]):
    """Example n is the n-th of an endless sequence of permutations of the cache, drawn from the seed."""

    def __init__(self, cache: LatentCache, seed: int) -> None:
        self.cache = cache
        self.seed = seed

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, n: int) -> Example:
        turn, position = divmod(n, len(self.cache))
        order = np.random.default_rng((self.seed, turn)).permutation(len(self.cache))
        return self.cache[int(order[position])]


class LatentData(lightning.LightningDataModule):
    """Training windows in random order, validation windows one by one."""

    def __init__(self, config: OptimisationConfig, train: LatentCache, validation: LatentCache) -> None:
        super().__init__()
        self.config = config
        self.train_cache = train
        self.validation_cache = validation

    def train_dataloader(self) -> DataLoader[Example]:
        """Windows from the step that the trainer has reached."""
        if (trainer := self.trainer) is None:
            raise RuntimeError("LatentData is attached to a trainer before its loaders are made")
        config = self.config
        return DataLoader(
            ShuffledCache(self.train_cache, config.seed),
            batch_size=config.batch_size,
            sampler=StepSampler(lambda: trainer.global_step, config.steps_per_epoch, config.batch_size),
        )

    def val_dataloader(self) -> DataLoader[Example]:
        """The same windows each time."""
        return DataLoader(self.validation_cache, batch_size=1)
