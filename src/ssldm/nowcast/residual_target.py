"""What the denoiser samples in place of latents: how they depart from what a regression expects of them."""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssldm.nn.intensity_scaling import IntensityScaling
from ssldm.nn.merge_net import Condition
from ssldm.nowcast.gaussian_blur import gaussian_blur

# Coverage that counts as none: what lies beyond it is not made up.
_LEAST_SHARE = 0.05
# Mean square change that counts as none, in network units.
_LEAST_CHANGE = 1e-3
# The fit of the local scale: every so many-th latent pixel in each direction, and iterations.
_EVERY, _ITERATIONS = 3, 40
# Of one window, as a batch: latents, their observed share, the condition.
Single = tuple[Tensor, Tensor, Condition]


def mean_square_change(moved: Tensor, previous: Tensor, scaling: IntensityScaling, stride: int) -> Tensor:
    """How much rain changed between two frames that are moved to the same times, for `Condition`.

    Args:
        moved, previous: rain rates ``(t, H, W)`` in mm/h; NaN in either counts as no change.
        scaling: to network units.
        stride: pixels a latent pixel.

    Returns:
        ``(t, 1, H / stride, W / stride)``
    """
    change = scaling.to_network(moved) - scaling.to_network(previous)
    return F.avg_pool2d(change.square().nan_to_num(nan=0.0)[:, None], stride)


class ResidualTarget(nn.Module):
    """The residual (z - Σ_k a_k G_k z_ext - b) / s, with a and b for each lead time and channel.

    Ours, not the paper's. G_0 is the identity, G_1 … are Gaussian means over the extrapolated latents that
    are covered: ever less can be known of rain's small scales, and the mean of a wider neighbourhood then
    says more than the pixel. S-PROG (Seed 2003) fades its cascade for the same reason.

    The scale s is the residual's deviation for each lead time and channel or, where asked, that times
    (e / e₀)^(p/2), where e is a Gaussian mean of how much the rain that is moved there changed of late:
    steady rain stays steadier than a thunderstorm, whatever its rate. STEPS (Bowler et al. 2006) takes its
    autocorrelations from the last frames for the same reason.

    Args:
        channels, frames: of the latents.
        reaches: deviations of the Gaussians in latent pixels.
        scale_reach: deviation of the Gaussian of the local scale; 0 for a scale that is the same everywhere.
    """

    slope: Tensor
    offset: Tensor
    std: Tensor
    exponent: Tensor
    usual_change: Tensor

    def __init__(
        self, channels: int, frames: int, reaches: Sequence[float], scale_reach: float = 0.0
    ) -> None:
        super().__init__()
        self.reaches = tuple(reaches)
        self.scale_reach = scale_reach
        self.register_buffer("slope", torch.zeros(1 + len(self.reaches), frames, channels))
        self.register_buffer("offset", torch.zeros(frames, channels))
        self.register_buffer("std", torch.ones(frames, channels))
        if scale_reach:
            self.register_buffer("exponent", torch.zeros(frames, channels))
            self.register_buffer("usual_change", torch.zeros(frames))

    def standardise(self, latents: Tensor, condition: Condition) -> Tensor:
        """Latents ``(b, t, c, h, w)`` to residuals of about unit variance."""
        return (latents - self._expected(condition)) / self._scale(condition)

    def restore(self, residual: Tensor, condition: Condition) -> Tensor:
        """The inverse of `standardise`."""
        return residual * self._scale(condition) + self._expected(condition)

    def local_scale(self, condition: Condition) -> Tensor:
        """(e / e₀)^(p/2), ``(b, t, c, h, w)``."""
        return torch.exp(0.5 * _per_pixel(self.exponent) * self._log_change(condition))

    def _scale(self, condition: Condition) -> Tensor:
        scale = _per_pixel(self.std)
        return scale * self.local_scale(condition) if self.scale_reach else scale

    def _log_change(self, condition: Condition) -> Tensor:
        """log(e / e₀), ``(b, t, 1, h, w)``."""
        change, coverage = condition.extrapolated_change, condition.extrapolated_coverage
        if change is None or coverage is None:
            raise ValueError("a local scale needs the extrapolated change and its coverage")
        mean = _covered_mean(change.float(), coverage.float(), self.scale_reach)
        return torch.log(mean + _LEAST_CHANGE) - self.usual_change[:, None, None, None]

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
            *(_covered_mean(latents, coverage, reach) for reach in self.reaches),
        ]

    @torch.no_grad()
    def fit(self, examples: Callable[[], Iterable[Single]]) -> None:
        """Fit to examples; what is not wholly observed is left out.

        Args:
            examples: called for each pass over them; each is a batch of one: latents ``(1, t, c, h, w)``,
                their observed share ``(1, t, 1, h, w)``, the condition.
        """
        self._fit_regression(examples())
        if self.scale_reach:
            self.exponent.zero_()
            self.usual_change.zero_()
            self._fit_scale(examples())

    def _fit_regression(self, examples: Iterable[Single]) -> None:
        """Least squares."""
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

    def _fit_scale(self, examples: Iterable[Single]) -> None:
        """Maximum likelihood of a normal residual, by Fisher scoring.

        That is a gamma regression of its square with a logarithmic link (McCullagh and Nelder 1989, ch. 8).
        """
        some = (..., slice(_EVERY // 2, None, _EVERY), slice(_EVERY // 2, None, _EVERY))
        parts = [
            (
                self.standardise(latents, condition)[some].square()[0],
                self._log_change(condition)[some][0],
                (observed[some][0] > 0.99).float(),
            )
            for latents, observed, condition in examples
        ]
        square, change, seen = (torch.stack(part) for part in zip(*parts, strict=True))

        def mean(x: Tensor) -> Tensor:
            """``(n, t, c, h, w)`` → ``(t, c)``, over what was observed"""
            return (x * seen).sum(dim=(0, -2, -1)) / seen.sum(dim=(0, -2, -1)).clamp_min(1.0)

        usual = mean(change)
        change = change - _per_pixel(usual)
        spread = mean(change.square()).clamp_min(1e-6)
        level = torch.log(mean(square).clamp_min(1e-6))
        exponent = torch.zeros_like(level)
        for _ in range(_ITERATIONS):
            excess = square * torch.exp(-_per_pixel(level) - _per_pixel(exponent) * change) - 1.0
            level = level + 0.5 * mean(excess)
            exponent = exponent + 0.5 * mean(excess * change) / spread
        self.exponent.copy_(exponent)
        self.usual_change.copy_(usual[:, 0])
        self.std.mul_(torch.exp(0.5 * level))


def _covered_mean(x: Tensor, coverage: Tensor, reach: float) -> Tensor:
    """Gaussian mean of what is covered."""
    return _blur(x * coverage, reach) / _blur(coverage, reach).clamp_min(_LEAST_SHARE)


def _blur(x: Tensor, deviation: float) -> Tensor:
    return gaussian_blur(x, deviation, truncate=2.5)


def _per_pixel(values: Tensor) -> Tensor:
    return values[..., None, None]
