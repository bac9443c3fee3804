"""What the training of a denoiser reports: the CRPS of small ensembles on windows of the validation cache."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.training.processes import sum_over_processes
from ssldm.verification.crps import crps_ensemble

# Covered share of a latent pixel that counts as the whole pixel.
_WHOLE = 0.99


class ValidationScore:
    """Fair CRPS of ensembles, next to the absolute error of the extrapolation, both pooled over windows."""

    def __init__(self, model: LatentDiffusion) -> None:
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Forget all windows."""
        self.sums = np.zeros(3)

    def add(self, batch: Mapping[str, Tensor], members: NDArray[np.floating]) -> None:
        """Add the first (only) window of a batch from the validation cache.

        Args:
            batch: with rain rates.
            members: ``(m, t_out, H, W)`` in mm/h.
        """
        rate = batch["rate"][0, -members.shape[1] :].float().cpu().numpy()
        moved = self.model.decode(batch["extrapolated_latent"][0]).float().cpu().numpy()
        covered = batch["extrapolated_coverage"][0, :, 0].cpu().numpy() > _WHOLE
        stride = rate.shape[-1] // covered.shape[-1]
        valid = np.isfinite(rate) & covered.repeat(stride, 1).repeat(stride, 2)
        crps = crps_ensemble(members, rate, fair=True)[valid]
        error = np.abs(moved - rate)[valid]
        self.sums += float(crps.sum()), float(error.sum()), int(valid.sum())

    def values(self, device: torch.device) -> dict[str, Tensor]:
        """Names and values in mm/h, over the windows of all processes.

        Args:
            device: by which processes exchange their sums.
        """
        sums = torch.tensor(self.sums, dtype=torch.float32, device=device)
        crps, error, count = sum_over_processes(sums)
        return {
            "validation/crps": crps / count.clamp_min(1.0),
            "validation/extrapolation_mae": error / count.clamp_min(1.0),
        }
