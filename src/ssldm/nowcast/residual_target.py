"""What the denoiser samples in place of latents: how they depart from what a regression expects of them."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ssldm.nn.merge_net import Condition
from ssldm.nowcast.gaussian_blur import gaussian_blur

# Coverage that counts as none: what lies beyond it is not made up.
_LEAST_SHARE = 0.05


class ResidualTarget(nn.Module):
    """The residual (z - Σ_k a_k G_k z_ext - b) / s, with a, b and s for each lead time and channel.

    Ours, not the paper's. G_0 is the identity, G_1 … are Gaussian means over the extrapolated latents that
    are covered: ever less can be known of rain's small scales, and the mean of a wider neighbourhood then
    says more than the pixel. S-PROG (Seed 2003) fades its cascade for the same reason.

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
        return (latents - self._expected(condition)) / _per_pixel(self.std)

    def restore(self, residual: Tensor, condition: Condition) -> Tensor:
        """The inverse of `standardise`."""
        return residual * _per_pixel(self.std) + self._expected(condition)

    def _expected(self, condition: Condition) -> Tensor:
        expected = _per_pixel(self.offset)
        for slope, means in zip(self.slope, self._means(condition), strict=True):
            expected = expected + _per_pixel(slope) * means
        return expected

    def _means(self, condition: Condition) -> list[Tensor]:
        """G_k z_ext, ``(b, t, c, h, w)`` each."""
        latents, coverage = condition.extrapolated_latent, condition.extrapolated_coverage
        if latents is None or coverage is None:
            raise ValueError("a residual target needs extrapolated latents and their coverage")
        latents, coverage = latents.float(), coverage.float()
        return [
            latents,
            *(
                _blur(latents * coverage, reach) / _blur(coverage, reach).clamp_min(_LEAST_SHARE)
                for reach in self.reaches
            ),
        ]

    @torch.no_grad()
    def fit(self, examples: Iterable[tuple[Tensor, Tensor, Condition]]) -> None:
        """Least squares on examples, each a batch of one; what is not wholly observed is left out.

        Args:
            examples: latents ``(1, t, c, h, w)``, their observed share ``(1, t, 1, h, w)``, the condition.
        """
        gram, moment, square, count = (torch.zeros((), dtype=torch.float64) for _ in range(4))
        for latents, observed, condition in examples:
            weight = (observed[0] > 0.99).double()  # (t, 1, h, w)
            means = [means[0].double() for means in self._means(condition)]
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


def _blur(x: Tensor, deviation: float) -> Tensor:
    return gaussian_blur(x, deviation, truncate=2.5)


def _per_pixel(values: Tensor) -> Tensor:
    return values[..., None, None]
