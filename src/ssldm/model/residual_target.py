"""What the denoiser samples in place of latents: how they depart from what is expected of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssldm.model.frame_network import FrameNetwork, FrameNetworkConfig
from ssldm.model.gaussian_blur import gaussian_blur
from ssldm.paper.merge_net import Condition, MergeNetConfig

# Coverage that counts as none: what lies beyond it is not made up.
_LEAST_SHARE = 0.05
# Observed or covered share of a latent pixel that counts as the whole pixel.
WHOLE = 0.99
# How far the network may take the scale from that of the regression, as a natural logarithm: unbounded, some
# members had ten times the power of rain, and residuals over a scale of nearly nothing drown all others.
_LOG_BOUND = 1.2
# Of one window, as a batch: latents, their observed share, the condition.
Single = tuple[Tensor, Tensor, Condition]


@dataclass(frozen=True)
class Expectation:
    """Mean and scale of latents, ``(b, t, c, h, w)`` or what broadcasts to it, before anything is sampled."""

    mean: Tensor
    scale: Tensor

    def standardise(self, latents: Tensor) -> Tensor:
        """Latents to residuals of about unit variance."""
        return (latents - self.mean) / self.scale

    def restore(self, residual: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        return residual * self.scale + self.mean

    @staticmethod
    def average(expectations: Sequence["Expectation"]) -> "Expectation":
        """Of several expectations of the same latents, means on average and scales geometrically."""
        means, logs = zip(*((each.mean, each.scale.log()) for each in expectations), strict=True)
        return Expectation(torch.stack(means).mean(dim=0), torch.stack(logs).mean(dim=0).exp())


class ResidualTarget(nn.Module):
    """The residual (z - c m) / √(c s² + 1 - c), with a regression m and its error s. Ours, not the paper's.

    For each lead time and channel,

        m = Σ_k a_k G_k z_ext + b,

    G_0 the identity, G_1 … Gaussian means over the extrapolated latents that are covered: ever less can be
    known of rain's small scales, and the mean of a wider neighbourhood then says more than the pixel. S-PROG
    (Seed 2003) fades its cascade for the same reason. c is the share of a latent pixel that the extrapolation
    covers: where that is none, all that is known of latents is their mean 0 and deviation 1.

    With a network these are its starting point. It sees what the earlier frames had at the place
    (`ssldm.forecast.motion_history`): where rain changed on its way, less of it will be kept and s is large.

        m = Σ_k a_k G_k z_ext + b + a' z_ext + b',  s ← s e^ℓ,  (a', b', ℓ) = f(z_ext, history, their means).

    CorrDiff (Mardani et al. 2023) regresses first and lets diffusion sample the residual, too; its regression
    learns the mean alone, this one mean and scale, by the CRPS of what they give
    (`ssldm.training.residual_module`).

    Args:
        frames: number of lead times.
        merge_net: of the denoiser, whose latents and history these are.
        reaches: deviations of the Gaussians in latent pixels.
        network: sizes of the network; none for the regression alone.
    """

    slope: Tensor
    offset: Tensor
    std: Tensor

    def __init__(
        self,
        frames: int,
        merge_net: MergeNetConfig,
        reaches: Sequence[float],
        network: FrameNetworkConfig | None = None,
    ) -> None:
        super().__init__()
        self.reaches = tuple(reaches)
        channels, history = merge_net.latent_channels, merge_net.history_channels
        self.register_buffer("slope", torch.zeros(1 + len(self.reaches), frames, channels))
        self.register_buffer("offset", torch.zeros(frames, channels))
        self.register_buffer("std", torch.ones(frames, channels))
        self.network_reaches = () if network is None else network.reaches
        entering = channels + 1 + history + len(self.network_reaches) * (2 + history)
        self.network = (
            None if network is None else FrameNetwork(network.width, entering, 3 * channels, frames)
        )

    def forward(self, condition: Condition, lead: Tensor | None = None) -> Expectation:
        """What is expected of latents.

        Args:
            condition: of ``b`` windows.
            lead: ``(b, t)``, numbers of the lead times in the condition; all, in order, where None.
        """
        latents, coverage = _extrapolated(condition)
        if lead is None:
            lead = torch.arange(latents.shape[1], device=latents.device).expand(latents.shape[:2])
        mean = per_pixel(self.offset[lead])
        for slope, means in zip(self.slope[:, lead], self._means(latents, coverage), strict=True):
            mean = mean + per_pixel(slope) * means
        scale = per_pixel(self.std[lead])
        if self.network is not None:
            entering = self._entering(latents, coverage, condition).flatten(0, 1)
            correction = self.network(entering, lead.flatten()).float()
            slope, offset, log = correction.unflatten(0, latents.shape[:2]).chunk(3, dim=2)
            mean = mean + slope * latents + offset
            scale = scale * (_LOG_BOUND * torch.tanh(log / _LOG_BOUND)).exp()
        return Expectation(coverage * mean, (coverage * scale.square() + (1.0 - coverage)).sqrt())

    def _means(self, latents: Tensor, coverage: Tensor) -> list[Tensor]:
        """G_k z_ext, ``(b, t, c, h, w)`` each."""
        return [latents, *(_covered_mean(latents, coverage, reach) for reach in self.reaches)]

    def _entering(self, latents: Tensor, coverage: Tensor, condition: Condition) -> Tensor:
        """What the network sees, ``(b, t, c', h, w)``."""
        if condition.extrapolated_history is None:
            raise ValueError("the network of a residual target needs the motion history")
        history = condition.extrapolated_history.float()
        # The first channel is the mean of a block; of the finer ones, their strength alone.
        detail = latents[:, :, 1:].square().mean(dim=2, keepdim=True).sqrt()
        broad = torch.cat([latents[:, :, :1], detail, history], dim=2)
        means = [_covered_mean(broad, coverage, reach) for reach in self.network_reaches]
        return torch.cat([latents, coverage, history, *means], dim=2)

    @torch.no_grad()
    def fit(self, examples: Iterable[Single]) -> None:
        """Fit by least squares, where all is observed and the extrapolation covers it.

        Args:
            examples: batches of one: latents ``(1, t, c, h, w)``, their observed share ``(1, t, 1, h, w)``,
                the condition.
        """
        gram, moment, square, count = (torch.zeros((), dtype=torch.float64) for _ in range(4))
        for latents, observed, condition in examples:
            extrapolated, coverage = _extrapolated(condition)
            weight = ((observed[0] > WHOLE) & (coverage[0] > WHOLE)).double()  # (t, 1, h, w)
            means = [means[0].double() for means in self._means(extrapolated, coverage)]
            regressors = torch.stack([torch.ones_like(means[0]), *means])  # (k, t, c, h, w)
            y = latents[0].double()
            gram = gram + torch.einsum("ktchw,ltchw,tohw->tckl", regressors, regressors, weight)
            moment = moment + torch.einsum("ktchw,tchw,tohw->tck", regressors, y, weight)
            square = square + torch.einsum("tchw,tohw->tc", y**2, weight)
            count = count + weight.sum(dim=(-2, -1))
        count = count.clamp_min(1.0)
        # A little towards zero, for channels without rain in them.
        ridge = 1e-6 * count[..., None, None] * torch.eye(gram.shape[-1]).to(gram)
        coefficients = torch.linalg.solve(gram + ridge, moment)
        explained = (coefficients * (2.0 * moment - (gram @ coefficients[..., None])[..., 0])).sum(dim=-1)
        self.offset.copy_(coefficients[..., 0])
        self.slope.copy_(coefficients[..., 1:].permute(2, 0, 1))
        self.std.copy_(((square - explained) / count).clamp_min(1e-6).sqrt())


def _extrapolated(condition: Condition) -> tuple[Tensor, Tensor]:
    """Extrapolated latents and their coverage."""
    latents, coverage = condition.extrapolated_latent, condition.extrapolated_coverage
    if latents is None or coverage is None:
        raise ValueError("a residual target needs extrapolated latents and their coverage")
    return latents.float(), coverage.float()


def _covered_mean(x: Tensor, coverage: Tensor, reach: float) -> Tensor:
    """Gaussian mean of what is covered."""
    return _blur(x * coverage, reach) / _blur(coverage, reach).clamp_min(_LEAST_SHARE)


def _blur(x: Tensor, deviation: float) -> Tensor:
    return gaussian_blur(x, deviation, truncate=2.5)


def per_pixel(values: Tensor) -> Tensor:
    """Values ``(..., c)`` of channels as ``(..., c, 1, 1)``."""
    return values[..., None, None]
