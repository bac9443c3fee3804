"""Autoencoder training as a Lightning module."""

from typing import Any

import lightning
import torch
from torch import Tensor

from ssldm.paper.autoencoder import kl_divergence
from ssldm.training.adversary import Adversary
from ssldm.training.autoencoder_loss import autoencoder_loss
from ssldm.training.frames import Batch
from ssldm.training.optimisation import configure_optimiser, step_generator
from ssldm.training.preset import Preset
from ssldm.training.processes import batch_shape, mean_over_processes, own_rows, sum_over_processes
from ssldm.verification.perceptual import LPIPS


class AutoencoderModule(lightning.LightningModule):
    """Trains `Autoencoder` with the intensity-structure loss; validates by reconstruction CSI."""

    CSI_THRESHOLDS = (0.5, 2.0, 8.0)

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.network = preset.autoencoder.build()
        adversary = preset.autoencoder_training.adversary
        self.adversary = Adversary(adversary) if adversary.weight else None
        # The adversary averages its gradients itself: DDP would wait for them in vain.
        self._ddp_params_and_buffers_to_ignore = [
            name for name, _ in self.named_parameters() if name.startswith("adversary.")
        ]
        training = preset.autoencoder_training
        self.lpips = LPIPS(training.lpips_network) if training.lpips and training.lpips_network else None
        self._counts: dict[float, Tensor] = {}

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of a batch of crops ``(b, 1, h, w)``."""
        frames, observed = batch
        image = frames.expand(-1, self.preset.autoencoder.channels, -1, -1)
        mean, log_variance = self.network.encode(image)
        seed = self.preset.autoencoder_training.optimisation.seed
        generator = step_generator(seed, self.global_step)
        noise = own_rows(torch.randn(batch_shape(mean), generator=generator))
        latents = mean.float() + (0.5 * log_variance.float()).exp() * noise.to(mean.device)
        decoded = self.network.decode(latents).float().mean(dim=1, keepdim=True)
        loss = autoencoder_loss(
            self.preset.autoencoder_training.loss,
            self.preset.scaling,
            frames,
            decoded,
            observed,
            kl_divergence(mean.float(), log_variance.float()),
        )
        terms = {name: value.detach() for name, value in loss._asdict().items()}
        total = loss.total
        # Unobserved pixels are made equal on both sides.
        seen = torch.where(observed > 0, decoded, frames)
        training = self.preset.autoencoder_training
        if self.lpips is not None:
            distance = mean_over_processes(self.lpips(frames, seen))
            total = total + training.lpips * distance
            terms["lpips"] = distance.detach()
        if self.adversary is not None and self.global_step >= self.adversary.config.start:
            terms["discriminator"] = self.adversary.learn(frames, seen)
            term = self.adversary.term(seen, total, self.network.last_layer)
            terms["adversary"] = term.detach()
            total = total + term
        self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return total

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The adversary has an optimiser of its own."""
        if self.adversary is not None:
            checkpoint["adversary"] = self.adversary.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `on_save_checkpoint`."""
        if self.adversary is not None:
            self.adversary.resume(checkpoint["adversary"])

    def on_validation_epoch_start(self) -> None:
        """Forget the counts of the last validation."""
        self._counts = {threshold: torch.zeros(3) for threshold in self.CSI_THRESHOLDS}

    def validation_step(self, batch: Batch, _: int) -> None:
        """Count hits, misses and false alarms of the reconstruction."""
        frames, observed = batch
        image = frames.expand(-1, self.preset.autoencoder.channels, -1, -1)
        decoded = self.network.decode(self.network.encode(image)[0]).float().mean(dim=1, keepdim=True)
        truth, approximation = (self.preset.scaling.to_rate(x) for x in (frames, decoded))
        for threshold, counts in self._counts.items():
            a, b = (((rate >= threshold) & (observed > 0)) for rate in (truth, approximation))
            counts.add_(torch.stack([(a & b).sum(), (a & ~b).sum(), (~a & b).sum()]).float().cpu())

    def on_validation_epoch_end(self) -> None:
        """Log the critical success index hits / (hits + misses + false alarms) at each threshold."""
        for threshold, counts in self._counts.items():
            total = sum_over_processes(counts.to(self.device))
            self.log(f"validation/csi_{threshold:g}", total[0] / total.sum().clamp_min(1.0))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay."""
        return configure_optimiser(self.network.parameters(), self.preset.autoencoder_training.optimisation)
