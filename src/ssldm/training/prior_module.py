"""Training of what is expected, by the CRPS of members made as a forecast makes them."""

from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.condition import carry_context
from ssldm.forecast.speckle import remove_speckle
from ssldm.model.storm_model import StormModel
from ssldm.model.storm_noise import filtered, storm_filters
from ssldm.training.optimisation import configure_optimiser
from ssldm.training.packed_windows import PackedWindows, Windows
from ssldm.training.prior_preset import PriorTraining

# Where all members are dry, how much of the gradient passes that tells one to rain.
_LEAK = 0.05
# Of the seeds: training and validation draw different windows.
_TRAINING, _VALIDATION = 0, 1


class PriorModule(lightning.LightningModule):
    """Trains mean and deviations of a model; its autoencoder stays as it is.

    Args:
        model: whose prior is trained.
        config: sizes and weights of the losses.
        train, validation: windows.
    """

    def __init__(
        self, model: StormModel, config: PriorTraining, train: PackedWindows, validation: PackedWindows | None
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.model.prior.requires_grad_(True)
        self.config = config
        self.windows = {_TRAINING: train, _VALIDATION: validation}
        self.register_buffer("usual_error", self._usual_error(train))

    @torch.no_grad()
    def _usual_error(self, windows: PackedWindows) -> Tensor:
        """Mean absolute error of the extrapolation in mm/h, of each product: rain is weaker in one than in another."""
        device = windows.rates.device
        sums = torch.zeros(2, len(windows.products), device=device)
        rng = np.random.default_rng((self.config.optimisation.seed, 2))
        for _ in range(self.config.error_batches):
            drawn = windows.draw(self.config.optimisation.batch_size, rng, augmented=False)
            carried, observed, valid = self._known(drawn, range(2, self.model.lead_frames, 4))
            error = (self.model.to_rate(carried.extrapolated[:, :, 0]) - observed).abs() * valid
            for row, values in enumerate((error, valid.float())):
                sums[row].index_add_(0, drawn.product.to(device), values.sum(dim=(1, 2, 3)))
        return sums[0] / sums[1].clamp_min(1.0)

    def _known(self, drawn: Windows, leads: Sequence[int]) -> tuple[Any, Tensor, Tensor]:
        """The carried context, what was observed ``(b, t, s, s)`` in mm/h, and where both are known."""
        model = self.model
        context = model.above_dry(remove_speckle(drawn.rate[:, : model.context_frames]))
        carried = carry_context(context, drawn.motions, [lead + 1 for lead in leads], model.stride)
        observed = drawn.rate[:, [model.context_frames + lead for lead in leads]]
        valid = carried.observed & observed.isfinite()
        return carried, observed.nan_to_num(nan=0.0), valid

    def members(self, drawn: Windows, leads: Sequence[int], count: int, generator: torch.Generator) -> tuple[Any, ...]:
        """Members ``(m, b, t, s, s)`` in network units above dry, and what `_known` gives."""
        model = self.model
        carried, observed, valid = self._known(drawn, leads)
        expected = model.expected(carried, torch.tensor(leads, device=valid.device))
        mean = model.decode(expected.waves)
        deviation = expected.deviation(model.stride)
        context = model.above_dry(drawn.rate[:, : model.context_frames]).nan_to_num(nan=0.0)
        filters = storm_filters(context, model.config.noise)[:, None]
        white = torch.randn((count, *valid.shape), generator=generator, device=valid.device)
        noise = filtered(white[:, :, :, None], filters)
        return mean + (deviation * noise).sum(dim=3), carried, observed, valid

    def training_step(self, _: Any, step: int) -> Tensor:
        """Losses of rain rates and of differences between scales."""
        config, device = self.config, self.usual_error.device
        seed = (config.optimisation.seed, _TRAINING, self.global_step)
        rng = np.random.default_rng(seed)
        generator = torch.Generator(device).manual_seed(int(rng.integers(1 << 62)))
        drawn = self.windows[_TRAINING].draw(config.optimisation.batch_size, rng, augmented=True)
        leads = sorted(rng.permutation(self.model.lead_frames)[: config.leads].tolist())
        members, _, observed, valid = self.members(drawn, leads, config.members, generator)
        members = _leaking(members)
        weight = valid.float()
        usual = self.usual_error[drawn.product.to(device)].clamp_min(0.02)[:, None, None, None]
        rate = crps_of_means(
            self.model.to_rate(members, dry=False) / usual, observed / usual, weight, config.scales
        )
        seen = self.model.above_dry(observed) * weight
        texture = crps_of_differences(members * weight, seen, weight, config.levels)
        self.log_dict({"train/rate": rate.detach(), "train/texture": texture.detach()})
        return rate + config.texture * texture

    def validation_step(self, _: Any, number: int) -> None:
        """Fair CRPS of ten members beside the error of the extrapolation, in mm/h."""
        windows, device = self.windows[_VALIDATION], self.usual_error.device
        if windows is None:
            return
        rng = np.random.default_rng((0, _VALIDATION, number))
        generator = torch.Generator(device).manual_seed(int(rng.integers(1 << 62)))
        drawn = windows.draw(4, rng, augmented=False)
        leads = range(self.model.lead_frames)
        members, carried, observed, valid = self.members(drawn, leads, 10, generator)
        rates = self.model.to_rate(members.clamp_min(0.0))
        crps = fair_crps(rates, observed) * valid
        error = (self.model.to_rate(carried.extrapolated[:, :, 0]) - observed).abs() * valid
        mean = rates.mean(dim=0)
        spread = ((rates - mean).square().sum(dim=0) / (len(rates) - 1) * valid).sum()
        missed = ((mean - observed).square() * valid).sum()
        values = {
            "val/crps": crps.sum() / valid.sum(),
            "val/extrapolation": error.sum() / valid.sum(),
            "val/spread": (spread / valid.sum()).sqrt(),
            "val/error": (missed / valid.sum()).sqrt(),
        }
        self.log_dict(values, batch_size=int(valid.sum()))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay, on the prior alone."""
        return configure_optimiser(self.model.prior.parameters(), self.config.optimisation)


def _leaking(above_dry: Tensor) -> Tensor:
    """What is drier than dry as dry, but for a little of the gradient."""
    dry = torch.minimum(above_dry, above_dry.new_zeros(()))
    return above_dry.clamp_min(0.0) + _LEAK * (dry - dry.detach())


def fair_crps(members: Tensor, observed: Tensor) -> Tensor:
    """Σ_k |x_k - y| / m - Σ_{j<k} |x_j - x_k| / (m (m - 1)), members ``(m, ...)``, observed ``(...)``.

    Its expectation is that of an ensemble of any size (Ferro 2014), so that few members train what many show.
    """
    count = len(members)
    apart = sum((members[k + 1 :] - members[k]).abs().sum(dim=0) for k in range(count - 1)) / (
        count * (count - 1)
    )
    return (members - observed).abs().mean(dim=0) - apart


def crps_of_means(members: Tensor, observed: Tensor, weight: Tensor, scales: Sequence[int]) -> Tensor:
    """Fair CRPS of means over squares, summed over the sizes of these.

    The CRPS of means asks for the right spread of whole showers, which that of pixels leaves open.

    Args:
        members: ``(m, b, t, h, w)``.
        observed: ``(b, t, h, w)``.
        weight: ``(b, t, h, w)``, 0 or 1; a square counts where all of it does.
        scales: sides of the squares in pixels, 1 for none.
    """
    total = members.new_zeros(())
    for scale in scales:
        counts = -F.max_pool2d(-weight, scale)
        means, mean = _pooled(members, scale), _pooled(observed, scale)
        total = total + (fair_crps(means, mean) * counts).sum() / counts.sum().clamp_min(1.0)
    return total


def crps_of_differences(members: Tensor, observed: Tensor, weight: Tensor, levels: int) -> Tensor:
    """Fair CRPS of what each halving of the resolution takes away, and of the rest: asks for the right texture.

    Args:
        members: ``(m, b, t, h, w)``, 0 where the weight is.
        observed: ``(b, t, h, w)``, likewise.
        weight: ``(b, t, h, w)``.
        levels: how often the resolution is halved.
    """
    total = members.new_zeros(())
    for _ in range(levels):
        coarse, rest = _pooled(members, 2), _pooled(observed, 2)
        fine, difference = members - _spread(coarse), observed - _spread(rest)
        total = total + (fair_crps(fine, difference) * weight).sum() / weight.sum().clamp_min(1.0)
        members, observed, weight = coarse, rest, _pooled(weight, 2)
    return total + (fair_crps(members, observed) * weight).sum() / weight.sum().clamp_min(1.0)


def _pooled(x: Tensor, scale: int) -> Tensor:
    return F.avg_pool2d(x.flatten(0, -4) if x.ndim > 4 else x, scale).reshape(
        *x.shape[:-2], x.shape[-2] // scale, x.shape[-1] // scale
    )


def _spread(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)
