"""What the denoiser samples in place of latents: how they depart from what a regression expects of them."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ssldm.nn.merge_net import Condition
from ssldm.nowcast.gaussian_blur import gaussian_blur

# Coverage that counts as none: what lies beyond it is not made up.
_LEAST_SHARE = 0.05
# Observed or covered share of a latent pixel that counts as the whole pixel.
WHOLE = 0.99
# Of one window, as a batch: latents, their observed share, the condition.
Single = tuple[Tensor, Tensor, Condition]


class ResidualTarget(nn.Module):
    """The residual (z - c (Σ_k a_k G_k z_ext + b)) / √(c s² + 1 - c), for each lead time and channel.

    Ours, not the paper's. G_0 is the identity, G_1 … are Gaussian means over the extrapolated latents that
    are covered: ever less can be known of rain's small scales, and the mean of a wider neighbourhood then
    says more than the pixel. S-PROG (Seed 2003) fades its cascade for the same reason. c is the share of a
    latent pixel that the extrapolation covers: where that is none, all that is known of latents is their
    mean 0 and deviation 1.

    Args:
        channels, frames: of the latents.
        reaches: deviations of the Gaussians in latent pixels.
    """

    slope: Tensor
    offset: Tensor
    std: Tensor

    def __init__(self, channels: int, frames: int, reaches: Sequence[float]) -> None:
        super().__init__()
        self.reaches = tuple(reaches)
        self.register_buffer("slope", torch.zeros(1 + len(self.reaches), frames, channels))
        self.register_buffer("offset", torch.zeros(frames, channels))
        self.register_buffer("std", torch.ones(frames, channels))

    def standardise(self, latents: Tensor, condition: Condition) -> Tensor:
        """Latents ``(b, t, c, h, w)`` to residuals of about unit variance."""
        return (latents - self._expected(condition)) / self._scale(condition)

    def restore(self, residual: Tensor, condition: Condition) -> Tensor:
        """The inverse of `standardise`."""
        return residual * self._scale(condition) + self._expected(condition)

    def _scale(self, condition: Condition) -> Tensor:
        _, coverage = _extrapolated(condition)
        return (coverage * per_pixel(self.std).square() + (1.0 - coverage)).sqrt()

    def _expected(self, condition: Condition) -> Tensor:
        latents, coverage = _extrapolated(condition)
        expected = per_pixel(self.offset)
        for slope, means in zip(self.slope, self._means(latents, coverage), strict=True):
            expected = expected + per_pixel(slope) * means
        return coverage * expected

    def _means(self, latents: Tensor, coverage: Tensor) -> list[Tensor]:
        """G_k z_ext, ``(b, t, c, h, w)`` each."""
        return [latents, *(_covered_mean(latents, coverage, reach) for reach in self.reaches)]

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
