"""Training of the network of a residual target: the CRPS of noise alone around what it expects."""

from collections.abc import Sequence
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.diffusion.sampling import member_generator
from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.model.residual_target import WHOLE, ResidualTarget
from ssldm.training.latent_cache import condition_of
from ssldm.training.optimisation import configure_optimiser, step_generator
from ssldm.training.preset import Preset
from ssldm.training.validation_score import ValidationScore


def fair_crps(members: Tensor, observed: Tensor) -> Tensor:
    """Σ_k |x_k - y| / m - Σ_{j<k} |x_j - x_k| / (m (m - 1)), members ``(m, ...)``, observed ``(...)``.

    Its expectation is that of an ensemble of any size (Ferro 2014), so that few members train what many show.
    """
    count = len(members)
    apart = sum((members[k + 1 :] - members[k]).abs().sum(dim=0) for k in range(count - 1)) / (
        count * (count - 1)
    )
    return (members - observed).abs().mean(dim=0) - apart


def crps_loss(
    members: Tensor, observed: Tensor, valid: Tensor, weight: Tensor, scales: Sequence[int]
) -> Tensor:
    """Fair CRPS of rain rates and of their means over squares, summed over the sizes of these.

    The CRPS of means asks for the right spread of whole showers, which that of pixels leaves open.

    Args:
        members: ``(m, n, H, W)`` in mm/h.
        observed: ``(n, H, W)`` in mm/h.
        valid: ``(n, H, W)``, 0 or 1; a square counts where all of it does.
        weight: ``(n,)`` of the frames.
        scales: sides of the squares in pixels, 1 for none.
    """
    total = members.new_zeros(())
    for scale in scales:
        means, mean = F.avg_pool2d(members, scale), F.avg_pool2d(observed, scale)
        counts = -F.max_pool2d(-valid, scale)
        score = fair_crps(means, mean) * counts
        total = total + (score.sum(dim=(-2, -1)) * weight).sum() / counts.sum().clamp_min(1.0)
    return total


class ResidualModule(lightning.LightningModule):
    """Trains the network of a model's residual target; all else stays as it is."""

    def __init__(self, preset: Preset, model: LatentDiffusion) -> None:
        super().__init__()
        self.preset = preset
        self.model = model.requires_grad_(False)
        self.residual.requires_grad_(True)
        self.score = ValidationScore(model)

    @property
    def residual(self) -> ResidualTarget:
        """What is trained."""
        if self.model.residual is None:
            raise ValueError("expected a model with a residual target")
        return self.model.residual

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """CRPS of a few members of noise alone, decoded, in mm/h."""
        config = self.preset.residual_training
        condition = condition_of(batch)
        expected = self.residual(condition, batch["lead"])
        windows, leads, _, height, width = expected.mean.shape
        generator = step_generator(config.optimisation.seed, self.global_step)
        members = []
        for _ in range(config.members):
            noise = self.model.draw_frames(windows * leads, (height, width), generator)
            latents = expected.restore(noise.unflatten(0, (windows, leads)))
            members.append(self.model.decode(latents.flatten(0, 1)).float())
        observed = batch["rate"].flatten(0, 1)
        valid = (batch["lead_observed"] > WHOLE) & (batch["extrapolated_coverage"] > WHOLE)
        stride = observed.shape[-1] // width
        valid = valid.flatten(0, 2).repeat_interleave(stride, -2).repeat_interleave(stride, -1)
        valid = valid & observed.isfinite()
        loss = crps_loss(
            torch.stack(members),
            observed.nan_to_num(nan=0.0),
            valid.float(),
            batch["weight"].repeat_interleave(leads),
            config.scales,
        )
        self.log("train/loss", loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self.score.reset()

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Fair CRPS of a small ensemble of noise alone."""
        height, width = batch["lead_latent"].shape[-2:]
        expected = self.residual(condition_of(batch))
        members = []
        for k in range(self.preset.denoiser_training.validation_members):
            noise = self.model.draw_noise((height, width), [member_generator(0, k)])
            members.append(self.model.decode(expected.restore(noise)[0]))
        self.score.add(batch, torch.stack(members).float().cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Log the scores pooled over windows."""
        self.log_dict(self.score.values())

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay, on the network alone."""
        return configure_optimiser(self.residual.parameters(), self.preset.residual_training.optimisation)
