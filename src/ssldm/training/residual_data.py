"""Crops of the latent cache for the network of a residual target."""

import numpy as np
import torch
from torch.utils.data import Dataset

from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.training.latent_cache import LatentCache
from ssldm.training.latent_data import Example, shuffled, turn_example
from ssldm.training.preset import ResidualTrainingConfig

_LATENT = (
    "extrapolated_latent",
    "extrapolated_coverage",
    "extrapolated_history",
    "lead_observed",
)


class CroppedCache(Dataset[Example]):
    """Some lead times of a crop of each window in turn, for ever, all drawn from the seed.

    Each example holds what the cache has at the ``lead (t,)`` times, ``(t, c, h, w)``, the observed ``rate
    (t, H, W)`` in mm/h, and its ``weight ()`` in the loss: the reciprocal of the mean extrapolation error of
    its product, so that an archive of thunderstorms does not drown one of drizzle.

    Args:
        cache: with rain rates and motion history.
        config: sizes of the crops, and the seed.
        turning: turns each crop by one of the eight symmetries, drawn anew each time; none to turn nothing.
    """

    def __init__(
        self, cache: LatentCache, config: ResidualTrainingConfig, turning: LatentDiffusion | None
    ) -> None:
        self.cache = cache
        self.config = config
        self.turning = turning
        product, error = cache.arrays["product"].astype(int), cache.arrays["extrapolation_error"]
        mean = np.bincount(product, error) / np.bincount(product).clip(1)
        self.weight = 1.0 / mean[product].clip(1e-3)

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, n: int) -> Example:
        seed, arrays = self.config.optimisation.seed, self.cache.arrays
        window = shuffled(seed, n, len(self.cache))
        rng = np.random.default_rng((seed, 2, n))
        total, _, height, width = arrays["extrapolated_latent"].shape[1:]
        side = min(self.config.crop, height, width)
        lead = np.sort(rng.permutation(total)[: self.config.leads])
        row, column = (int(rng.integers(length - side + 1)) for length in (height, width))
        here = np.s_[..., row : row + side, column : column + side]
        stride = arrays["rate"].shape[-1] // width
        pixels = tuple(slice(first * stride, (first + side) * stride) for first in (row, column))
        context = arrays["rate"].shape[1] - total
        example = {name: _tensor(arrays[name][window][lead][here]) for name in _LATENT}
        example["context_latent"] = _tensor(arrays["context_latent"][window][here])
        example["rate"] = _tensor(arrays["rate"][window][context + lead][:, *pixels])
        if self.turning is not None:
            example = turn_example(self.turning, example, int(rng.integers(8)))
        weight = torch.tensor(self.weight[window], dtype=torch.float32)
        return example | {"lead": torch.from_numpy(lead), "weight": weight}


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
