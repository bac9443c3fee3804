"""Denoiser training as a Lightning module."""

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssldm.diffusion.objective import diffusion_loss
from ssldm.diffusion.schedule import SamplerName
from ssldm.forecast.diffusion_ensemble import DiffusionEnsemble
from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.radar.motion import extrapolate
from ssldm.training.latent_cache import condition_of
from ssldm.training.optimisation import configure_optimiser, step_generator
from ssldm.training.preset import Preset
from ssldm.training.processes import batch_shape, own_rows, sum_over_processes
from ssldm.training.validation_score import ValidationScore

SAMPLER: SamplerName = "dpm-solver++"


class DenoiserModule(lightning.LightningModule):
    """Trains the denoiser of a model whose autoencoder stays as it is; validates by CRPS in mm/h."""

    def __init__(self, preset: Preset, model: LatentDiffusion, pictures: Path) -> None:
        super().__init__()
        self.preset = preset
        self.model = model.requires_grad_(False)
        self.model.denoiser.requires_grad_(True)
        self.pictures = pictures
        self.forward_process = preset.diffusion.build_forward_process()
        self.score = ValidationScore(model)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Loss of a batch of windows from the latent cache."""
        condition, observed = condition_of(batch), batch["lead_observed"]
        # What nobody saw was coded as dry: the network shall not take it for rain that ends.
        clean = batch["lead_latent"] * (observed > 0.0)
        generator = step_generator(self.preset.denoiser_training.optimisation.seed, self.global_step)
        whole = batch_shape(clean)
        noise = own_rows(torch.randn(whole, generator=generator)).to(clean.device)
        timestep = own_rows(torch.randint(self.preset.diffusion.timesteps, whole[:1], generator=generator))
        weight = observed
        if self.preset.window.corrected:
            weight = weight * batch["weight"].reshape(-1, *[1] * (weight.ndim - 1))
        loss = diffusion_loss(
            lambda noisy, step: self.model.denoiser(noisy, step, condition),
            clean,
            noise,
            timestep.to(clean.device),
            self.forward_process,
            weight,
            sum_over_processes,
        )
        self.log("train/loss", loss.detach())
        return loss

    def _members(self, context: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rain rates ``(m, t_out, H, W)`` of the forecast from a context ``(t_in, H, W)`` in mm/h."""
        training = self.preset.denoiser_training
        ensemble = DiffusionEnsemble(
            self.model, context, extrapolate(context, self.preset.window.lead_frames)
        )
        members = ensemble.members(
            training.validation_members, seed=0, steps=training.validation_steps, sampler=SAMPLER
        )
        return np.stack([member.numpy() for member in members])

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self.score.reset()

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Fair CRPS of a small ensemble, next to the absolute error of the extrapolation."""
        rate, context = batch["rate"][0].float().cpu().numpy(), self.preset.window.context_frames
        members = self._members(rate[:context])
        self.score.add(batch, members)
        if batch_index == 0:
            from ssldm.plotting import save_validation_picture

            self.pictures.mkdir(parents=True, exist_ok=True)
            picture = self.pictures / f"step-{self.global_step:07d}.png"
            save_validation_picture(picture, rate[context:], members)

    def on_validation_epoch_end(self) -> None:
        """Log the scores pooled over windows."""
        self.log_dict(self.score.values(self.device))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay, on the denoiser alone."""
        return configure_optimiser(
            self.model.denoiser.parameters(), self.preset.denoiser_training.optimisation
        )
