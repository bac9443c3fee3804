"""Noise that has the space-time covariance of what is to be sampled.

Ours, not the paper's. White noise leaves it to the network to learn that neighbouring latents, and those of
successive lead times, belong together; until it has, members are a mosaic. If ε has the covariance of z₀,
then E[z₀ | z_n] = √ᾱ z_n for a normal, stationary z₀, whatever its spectrum: v = 0. The network learns where
rain departs from that. STEPS perturbs its cascade by noise with the spectrum of rain for the same reason
(Bowler et al. 2006); for images see Voleti et al. (2022) on non-isotropic noise.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssldm.errors import ObservationError


class CorrelatedNoise(nn.Module):
    """Makes white noise correlated: over lead frames by a matrix for each channel, over space by a kernel.

    Fresh, it leaves white noise as it is.

    Args:
        channels, frames: of the latents.
        reach: of the kernel on each side, in latent pixels.
    """

    kernel: Tensor
    mixing: Tensor

    def __init__(self, channels: int, frames: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        side = 2 * reach + 1
        kernel = torch.zeros(channels, channels, side, side)
        kernel[:, :, reach, reach] = torch.eye(channels)
        self.register_buffer("kernel", kernel)
        self.register_buffer("mixing", torch.eye(frames).repeat(channels, 1, 1))

    def forward(self, white: Tensor) -> Tensor:
        """``(b, t, c, h + 2*reach, w + 2*reach)`` → ``(b, t, c, h, w)``, each latent of unit variance"""
        near = self.over_space(white.flatten(0, 1)).unflatten(0, white.shape[:2])
        with torch.autocast(white.device.type, enabled=False):
            return torch.einsum("cts,bschw->btchw", self.mixing, near)

    def over_space(self, white: Tensor) -> Tensor:
        """``(n, c, h + 2*reach, w + 2*reach)`` → ``(n, c, h, w)``, frames that know nothing of each other"""
        with torch.autocast(white.device.type, enabled=False):
            return F.conv2d(white, self.kernel)

    @torch.no_grad()
    def measure(self, examples: Iterable[Tensor]) -> None:
        """Take on the covariance of some samples ``(t, c, h, w)`` of one size, about zero mean.

        Cross-spectra of the channels, averaged over frames and samples, have the kernel's transform as their
        Hermitian root; the matrices are Cholesky factors of the channels' correlations between frames.

        Raises:
            ObservationError: samples that the kernel is too large for, no samples, or all of them zero.
        """
        spectra, covariance, side = torch.zeros(()), torch.zeros(()), (0, 0)
        for example in examples:
            side = (example.shape[-2], example.shape[-1])
            if min(side) <= 2 * self.reach:
                raise ObservationError(f"expected more than {2 * self.reach} latent pixels, found {side}")
            window = torch.outer(*(torch.hann_window(n, periodic=False) for n in side))
            waves = torch.fft.fft2(example * window).permute(2, 3, 1, 0)  # (h, w, c, t)
            spectra = spectra + waves @ waves.mH
            covariance = covariance + torch.einsum("tchw,schw->cts", example, example)
        if not (covariance.ndim and bool((covariance.diagonal(dim1=-2, dim2=-1) > 0.0).all())):
            raise ObservationError(
                "expected windows with all lead frames, and rain at each, to measure noise from, found none"
            )
        values, vectors = torch.linalg.eigh(spectra)
        root = (vectors * values.clamp_min(0.0).sqrt()[..., None, :]) @ vectors.mH
        kernel = torch.fft.ifft2(root, dim=(0, 1)).real.permute(2, 3, 0, 1)
        kernel = torch.fft.fftshift(kernel, dim=(-2, -1))
        rows, columns = (slice(n // 2 - self.reach, n // 2 + self.reach + 1) for n in side)
        # A convolution, written as the correlation that `conv2d` computes.
        kernel = kernel[:, :, rows, columns].flip(-2, -1)
        self.kernel.copy_(kernel / (kernel**2).sum(dim=(1, 2, 3), keepdim=True).sqrt())
        deviation = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        correlation = covariance / (deviation[:, :, None] * deviation[:, None, :])
        jitter = 1e-4 * torch.eye(correlation.shape[-1])
        factor = torch.linalg.cholesky(correlation + jitter)
        self.mixing.copy_(factor / factor.norm(dim=-1, keepdim=True))
