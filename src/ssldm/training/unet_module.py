"""Training of the deterministic U-Net as a Lightning module."""

from typing import Any

import lightning
import torch
from torch import Tensor

from ssldm.training.autoencoder_loss import intensity_weighted_error
from ssldm.training.frames import Batch
from ssldm.training.optimisation import configure_optimiser
from ssldm.training.preset import Preset
from ssldm.training.processes import sum_over_processes


class UNetModule(lightning.LightningModule):
    """Trains the U-Net on the absolute error; validates by the absolute error in mm/h."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        window = preset.window
        self.network = preset.unet.build(window.context_frames, window.lead_frames)
        self._sums: list[tuple[float, float]] = []

    def _forecast(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Truth, forecast and weight ``(b, t_out, h, w)`` of windows ``(b, t, h, w)``."""
        frames, observed = batch
        context = self.preset.window.context_frames
        return frames[:, context:], self.network(frames[:, :context]).float(), observed[:, context:]

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of a batch of windows."""
        beta = self.preset.unet_training.intensity_weight
        loss = intensity_weighted_error(self.preset.scaling, beta, *self._forecast(batch))
        self.log("train/loss", loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the errors of the last validation."""
        self._sums = []

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add up the absolute error in mm/h over the observed pixels."""
        truth, forecast, observed = self._forecast(batch)
        to_rate = self.preset.scaling.to_rate
        error = (to_rate(truth) - to_rate(forecast)).abs() * observed
        self._sums.append((float(error.sum()), float(observed.sum())))

    def on_validation_epoch_end(self) -> None:
        """Log the error pooled over windows."""
        sums = torch.tensor([sum(part) for part in zip(*self._sums, strict=True)], device=self.device)
        error, count = sum_over_processes(sums)
        self.log("validation/mae", error / count.clamp_min(1.0))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay."""
        return configure_optimiser(self.network.parameters(), self.preset.unet_training.optimisation)
