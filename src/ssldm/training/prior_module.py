"""Training of what is expected, by the CRPS of members made as a forecast makes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.advection import Region
from ssldm.forecast.condition import carry_context
from ssldm.forecast.displacement import displaced, in_pixels
from ssldm.forecast.speckle import remove_speckle
from ssldm.model.carried import Carried
from ssldm.model.displacement import unit_displacements
from ssldm.model.storm_model import StormModel
from ssldm.model.storm_noise import filtered, storm_filters
from ssldm.training.optimisation import configure_optimiser
from ssldm.training.packed_windows import PackedBatch, PackedWindows
from ssldm.training.prior_preset import PriorTraining
from ssldm.training.processes import batch_shape, own_rows, process_count, sum_over_processes

# Where all members are dry, how much of the gradient passes that tells one to rain.
_LEAK = 0.05
# Of the seeds: training and validation draw different windows.
_TRAINING, _VALIDATION = 0, 1
_VALIDATION_MEMBERS = 6
# Pixels that displacements may reach beyond a window.
_BEYOND = 48
# Of an extrapolation, in mm/h: an archive without rain is not to drown the others.
_LEAST_ERROR = 0.02


@dataclass(frozen=True)
class Batch:
    """Some windows at some lead times.

    Attributes:
        carried: their context.
        observed: ``(b, t, s, s)`` in mm/h.
        valid: ``(b, t, s, s)``, whether it was observed and is forecast.
        product: ``(b,)``
    """

    carried: Carried
    observed: Tensor
    valid: Tensor
    product: Tensor


class PriorModule(lightning.LightningModule):
    """Trains mean and deviations of a model; its autoencoder stays as it is.

    Args:
        model: whose prior is trained.
        config: sizes and weights of the losses.
        train, validation: windows.
    """

    usual_error: Tensor

    def __init__(
        self, model: StormModel, config: PriorTraining, train: PackedWindows, validation: PackedWindows | None
    ) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.model.prior.requires_grad_(True)
        self.config = config
        self.train_windows, self.validation_windows = train, validation
        self.register_buffer("usual_error", self._usual_error(train))

    @torch.no_grad()
    def _usual_error(self, windows: PackedWindows) -> Tensor:
        """Mean absolute error of the extrapolation of each product, in mm/h: rain is weaker in some."""
        sums = torch.zeros(2, len(windows.products), device=windows.rates.device)
        rng = np.random.default_rng((self.config.optimisation.seed, 2))
        for _ in range(self.config.error_batches):
            leads = range(min(2, self.model.lead_frames - 1), self.model.lead_frames, 4)
            batch = self._batch(windows, leads, rng, augmented=False)
            error = self._extrapolation_error(batch)
            for row, values in enumerate((error, batch.valid.float())):
                sums[row].index_add_(0, batch.product, values.sum(dim=(1, 2, 3)))
        return sums[0] / sums[1].clamp_min(1.0)

    def _extrapolation_error(self, batch: Batch) -> Tensor:
        return (self.model.to_rate(batch.carried.extrapolated[:, :, 0]) - batch.observed).abs() * batch.valid

    def _batch(
        self, windows: PackedWindows, leads: Sequence[int], rng: np.random.Generator, *, augmented: bool
    ) -> Batch:
        """Own windows of a batch; augmented, by a symmetry and of weaker or stronger rain."""
        model, count = self.model, self.config.optimisation.batch_size
        drawn = _own(windows.draw(rng, count))
        factors, symmetries = np.ones(count, np.float32), np.zeros(count, int)
        if augmented:
            factors = np.exp(rng.normal(0.0, self.config.intensity, count)).astype(np.float32)
            symmetries = rng.integers(8, size=count)
        factor = own_rows(torch.from_numpy(factors)).to(drawn.context.device)[:, None, None, None]
        symmetry = own_rows(torch.from_numpy(symmetries)).tolist()
        context = model.above_dry(remove_speckle(drawn.context * factor))
        steps = [lead + 1 for lead in leads]
        carried = carry_context(context, drawn.motions, steps, model.stride, drawn.region, drawn.spacing)

        def as_drawn(fields: Tensor) -> Tensor:
            return torch.stack([turned(field, n) for field, n in zip(fields, symmetry, strict=True)])

        extrapolated, known, history = (
            as_drawn(fields) for fields in (carried.extrapolated, carried.observed, carried.history)
        )
        observed = as_drawn(factor * drawn.observed[:, leads])
        return Batch(
            Carried(extrapolated, known, history),
            observed.nan_to_num(nan=0.0),
            known & observed.isfinite(),
            drawn.product,
        )

    def _members(self, batch: Batch, leads: Sequence[int], count: int, generator: torch.Generator) -> Tensor:
        """Members ``(m, b, t, s, s)`` in network units above dry, of independent noise."""
        model, carried = self.model, batch.carried
        expected = model.expected(carried, torch.tensor(leads, device=batch.valid.device))
        filters = storm_filters(carried.extrapolated[:, :, 0], model.config.noise)[:, None]
        whole = count, *batch_shape(batch.valid)
        white = _own_of_members(torch.randn(whole, generator=generator, device=batch.valid.device))
        noise = filtered(white[:, :, :, None], filters)
        mean = self._displaced(model.decode(expected.waves), carried.observed, leads, count, generator)
        return mean + (model.deviation(expected.log_deviation) * noise).sum(dim=3)

    def _displaced(
        self, mean: Tensor, known: Tensor, leads: Sequence[int], count: int, generator: torch.Generator
    ) -> Tensor:
        """The mean ``(b, t, s, s)`` as each of some members has it, ``(m, b, t, s, s)``."""
        config = self.model.config.displacement
        windows, frames, side = mean.shape[:3]
        drawn = unit_displacements(count * windows * process_count(), side, side, config, generator)
        own = _own_of_members(drawn.unflatten(0, (count, -1))).flatten(0, 1)
        units = in_pixels(own, Region.whole(side, side), config)
        deviations: Tensor = self.model.prior.displacement[list(leads)].exp()[:, None, None, None]
        # What is beyond a window is taken from its mirror image.
        beyond = min(_BEYOND, side - 1)
        whole = Region.whole(side + 2 * beyond, side + 2 * beyond)
        inner = whole.part(slice(beyond, beyond + side), slice(beyond, beyond + side))
        fields, places = (
            F.pad(each, 4 * (beyond,), mode="reflect").expand(count, -1, -1, -1, -1).flatten(0, 2)
            for each in (mean, known.float())
        )
        moved = displaced(fields, places, (deviations * units[:, None]).flatten(0, 1), inner)
        members: Tensor = moved.unflatten(0, (count, windows, frames))
        return members

    def training_step(self, *_: Any) -> Tensor:
        """See `loss_at`."""
        return self.loss_at(self.global_step)

    def loss_at(self, step: int) -> Tensor:
        """Losses of rain rates and of differences between scales, of what is drawn for a step."""
        config, device = self.config, self.usual_error.device
        rng = np.random.default_rng((config.optimisation.seed, _TRAINING, step))
        generator = torch.Generator(device).manual_seed(int(rng.integers(1 << 62)))
        leads = sorted(rng.permutation(self.model.lead_frames)[: config.leads].tolist())
        batch = self._batch(self.train_windows, leads, rng, augmented=True)
        members = _leaking(self._members(batch, leads, config.members, generator))
        weight = batch.valid.float()
        usual = self.usual_error[batch.product].clamp_min(_LEAST_ERROR)[:, None, None, None]
        rate = crps_of_means(
            self.model.to_rate(members, dry=False) / usual, batch.observed / usual, weight, config.scales
        )
        seen = self.model.above_dry(batch.observed) * weight
        texture = crps_of_differences(members * weight, seen, weight, config.levels)
        self.log_dict({"train/rate": rate.detach(), "train/texture": texture.detach()})
        return rate + config.texture * texture

    def validation_step(self, _: Any, number: int) -> None:
        """Fair CRPS of a few members beside the error of the extrapolation, in mm/h."""
        windows, device = self.validation_windows, self.usual_error.device
        if windows is None:
            return
        rng = np.random.default_rng((0, _VALIDATION, number))
        generator = torch.Generator(device).manual_seed(int(rng.integers(1 << 62)))
        leads = range(min(3, self.model.lead_frames - 1), self.model.lead_frames, 4)
        batch = self._batch(windows, leads, rng, augmented=False)
        rates = self.model.to_rate(self._members(batch, leads, _VALIDATION_MEMBERS, generator).clamp_min(0.0))
        mean = rates.mean(dim=0)
        sums = {
            "crps": fair_crps(rates, batch.observed),
            "extrapolation": self._extrapolation_error(batch),
            "variance": (rates - mean).square().sum(dim=0) / (len(rates) - 1),
            "square_error": (mean - batch.observed).square(),
        }
        valid = sum_over_processes(batch.valid.sum())
        self.log_dict(
            {
                f"val/{name}": sum_over_processes((values * batch.valid).sum()) / valid.clamp_min(1)
                for name, values in sums.items()
            },
            batch_size=int(valid),
        )

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay, on the prior alone."""
        return configure_optimiser(self.model.prior.parameters(), self.config.optimisation)


def _own(drawn: PackedBatch) -> PackedBatch:
    """The windows of this process, of those of a batch."""
    return replace(
        drawn,
        context=own_rows(drawn.context),
        motions=own_rows(drawn.motions),
        observed=own_rows(drawn.observed),
        product=own_rows(drawn.product),
    )


def _own_of_members(values: Tensor) -> Tensor:
    """What this process' windows have, ``(m, b / n, ...)``, of what the whole batch has, ``(m, b, ...)``."""
    return own_rows(values.transpose(0, 1)).transpose(0, 1)


def turned(field: Tensor, symmetry: int) -> Tensor:
    """Squares ``(..., s, s)`` by one of the eight symmetries, 0 to 7: rotations, then a flip."""
    rotated = torch.rot90(field, symmetry % 4, (-2, -1))
    return rotated.flip(-1) if symmetry >= 4 else rotated


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
        total = total + _mean(fair_crps(means, mean), counts)
    return total


def crps_of_differences(members: Tensor, observed: Tensor, weight: Tensor, levels: int) -> Tensor:
    """Fair CRPS of what each halving of the resolution takes away, and of the rest: asks for texture.

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
        total = total + _mean(fair_crps(fine, difference), weight)
        members, observed, weight = coarse, rest, _pooled(weight, 2)
    return total + _mean(fair_crps(members, observed), weight)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over the windows of all processes."""
    return sum_over_processes((values * weight).sum()) / sum_over_processes(weight.sum()).clamp_min(1.0)


def _pooled(x: Tensor, scale: int) -> Tensor:
    return F.avg_pool2d(x.flatten(0, -4) if x.ndim > 4 else x, scale).reshape(
        *x.shape[:-2], x.shape[-2] // scale, x.shape[-1] // scale
    )


def _spread(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)
