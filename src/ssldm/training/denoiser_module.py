"""Denoiser training as a Lightning module."""

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from ssldm.diffusion.objective import diffusion_loss
from ssldm.diffusion.sampling import member_generator, sample
from ssldm.diffusion.schedule import SamplerName
from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.model.residual_target import Expectation
from ssldm.training.latent_cache import condition_of
from ssldm.training.optimisation import configure_optimiser, step_generator
from ssldm.training.preset import Preset
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
        condition = condition_of(batch)
        # What nobody saw was coded as dry: the network shall not take it for rain that ends.
        with torch.no_grad():
            expected = self.model.expected(condition)
        told = self.model.told(condition, expected)
        clean = expected.standardise(batch["lead_latent"]) * (batch["lead_observed"] > 0.0)
        generator = step_generator(self.preset.denoiser_training.optimisation.seed, self.global_step)
        noise = self.model.draw_noise((clean.shape[-2], clean.shape[-1]), [generator] * len(clean))
        timestep = torch.randint(self.preset.diffusion.timesteps, (len(clean),), generator=generator).to(
            clean.device
        )
        loss = diffusion_loss(
            lambda noisy, step: self.model.denoiser(noisy, step, told),
            clean,
            noise,
            timestep,
            self.forward_process,
            self._weight(batch, expected),
        )
        self.log("train/loss", loss.detach())
        return loss

    def _weight(self, batch: dict[str, Tensor], expected: Expectation) -> Tensor:
        """Weight of each latent: its observed share and its deviation, corrected where asked."""
        power = self.preset.denoiser_training.deviation_power
        weight = batch["lead_observed"] * self.model.deviation_weight(expected, power)
        if not self.preset.window.corrected:
            return weight
        return weight * batch["weight"].reshape(-1, *[1] * (weight.ndim - 1))

    def _members(self, batch: dict[str, Tensor]) -> Tensor:
        """Rain rates ``(m, t_out, H, W)`` of the first (only) window of a batch."""
        training = self.preset.denoiser_training
        generators = [member_generator(0, k) for k in range(training.validation_members)]
        height, width = batch["lead_latent"].shape[-2:]
        noise = self.model.draw_noise((height, width), generators)
        single = condition_of(batch)
        expected = self.model.expected(single)
        condition = self.model.told(single, expected).map(lambda x: x.expand(len(noise), *x.shape[1:]))
        target = sample(
            lambda noisy, step: self.model.denoiser(noisy, step.to(self.device), condition),
            noise,
            self.preset.diffusion.build_scheduler(SAMPLER),
            training.validation_steps,
            generators,
        )
        latents = expected.restore(target)
        return torch.stack([self.model.decode(member) for member in latents])

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self.score.reset()

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Fair CRPS of a small ensemble, next to the absolute error of the extrapolation."""
        members = self._members(batch).float().cpu().numpy()
        self.score.add(batch, members)
        if batch_index == 0:
            from ssldm.plotting import save_validation_picture

            self.pictures.mkdir(parents=True, exist_ok=True)
            observed = batch["rate"][0, self.preset.window.context_frames :].float().cpu().numpy()
            save_validation_picture(self.pictures / f"step-{self.global_step:07d}.png", observed, members)

    def on_validation_epoch_end(self) -> None:
        """Log the scores pooled over windows."""
        self.log_dict(self.score.values())

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay, on the denoiser alone."""
        return configure_optimiser(
            self.model.denoiser.parameters(), self.preset.denoiser_training.optimisation
        )
