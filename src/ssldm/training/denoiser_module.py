"""Denoiser training as a Lightning module."""

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from ssldm.diffusion.objective import diffusion_loss
from ssldm.diffusion.sampling import member_generator, sample
from ssldm.diffusion.schedule import SamplerName
from ssldm.nowcast.latent_diffusion import LatentDiffusion
from ssldm.nowcast.residual_target import WHOLE
from ssldm.training.latent_cache import condition_of
from ssldm.training.optimisation import configure_optimiser, step_generator
from ssldm.training.preset import Preset
from ssldm.verification.crps import crps_ensemble

SAMPLER: SamplerName = "dpm-solver++"


class DenoiserModule(lightning.LightningModule):
    """Trains the denoiser of a model whose autoencoder stays as it is; validates by CRPS in mm/h."""

    def __init__(self, preset: Preset, model: LatentDiffusion, pictures: Path) -> None:
        super().__init__()
        self.preset = preset
        self.model = model
        self.model.autoencoder.requires_grad_(False)
        self.pictures = pictures
        self.forward_process = preset.diffusion.build_forward_process()
        self._scores: list[tuple[float, float, int]] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Loss of a batch of windows from the latent cache."""
        condition = condition_of(batch)
        # What nobody saw was coded as dry: the network shall not take it for rain that ends.
        clean = self.model.to_target(batch["lead_latent"], condition) * (batch["lead_observed"] > 0.0)
        generator = step_generator(self.preset.denoiser_training.optimisation.seed, self.global_step)
        noise = self.model.draw_noise((clean.shape[-2], clean.shape[-1]), [generator] * len(clean))
        timestep = torch.randint(self.preset.diffusion.timesteps, (len(clean),), generator=generator).to(
            clean.device
        )
        loss = diffusion_loss(
            lambda noisy, step: self.model.denoiser(noisy, step, condition),
            clean,
            noise,
            timestep,
            self.forward_process,
            self._weight(batch),
        )
        self.log("train/loss", loss.detach())
        return loss

    def _weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Weight of each latent: its observed share and its channel's weight, corrected where asked."""
        power = self.preset.denoiser_training.channel_power
        weight = batch["lead_observed"] * self.model.channel_weight(power)
        if not self.preset.window.corrected:
            return weight
        return weight * batch["weight"].reshape(-1, *[1] * (weight.ndim - 1))

    def _members(self, batch: dict[str, Tensor]) -> Tensor:
        """Rain rates ``(m, t_out, H, W)`` of the first (only) window of a batch."""
        training = self.preset.denoiser_training
        generators = [member_generator(0, k) for k in range(training.validation_members)]
        height, width = batch["lead_latent"].shape[-2:]
        noise = self.model.draw_noise((height, width), generators)
        condition = condition_of(batch).map(lambda x: x.expand(len(noise), *x.shape[1:]))
        target = sample(
            lambda noisy, step: self.model.denoiser(noisy, step.to(self.device), condition),
            noise,
            self.preset.diffusion.build_scheduler(SAMPLER),
            training.validation_steps,
            generators,
        )
        latents = self.model.from_target(target, condition)
        return torch.stack([self.model.decode(member) for member in latents])

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self._scores = []

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Fair CRPS of a small ensemble, next to the absolute error of the extrapolation."""
        members = self._members(batch).float().cpu().numpy()
        context = self.preset.window.context_frames
        rate = batch["rate"][0].cpu().numpy()
        moved = self.model.decode(batch["extrapolated_latent"][0]).float().cpu().numpy()
        covered = batch["extrapolated_coverage"][0, :, 0].cpu().numpy() > WHOLE
        stride = rate.shape[-1] // covered.shape[-1]
        valid = np.isfinite(rate[context:]) & covered.repeat(stride, 1).repeat(stride, 2)
        crps = crps_ensemble(members, rate[context:], fair=True)[valid]
        error = np.abs(moved - rate[context:])[valid]
        self._scores.append((float(crps.sum()), float(error.sum()), int(valid.sum())))
        if batch_index == 0:
            from ssldm.plotting import save_validation_picture

            self.pictures.mkdir(parents=True, exist_ok=True)
            save_validation_picture(
                self.pictures / f"step-{self.global_step:07d}.png", rate[context:], members
            )

    def on_validation_epoch_end(self) -> None:
        """Log the scores pooled over windows."""
        crps, error, count = np.sum(self._scores, axis=0)
        self.log("validation/crps", float(crps / max(count, 1)))
        self.log("validation/extrapolation_mae", float(error / max(count, 1)))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay, on the denoiser alone."""
        return configure_optimiser(
            self.model.denoiser.parameters(), self.preset.denoiser_training.optimisation
        )
