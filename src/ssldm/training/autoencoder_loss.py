"""The intensity-structure loss: our reading of the paper's latent coding.

The published code carries no such loss, only a remark that its autoencoder was trained with one.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.config import Config
from ssldm.nn.intensity_scaling import IntensityScaling


class AutoencoderLossConfig(Config):
    """Weights of the terms; ``plain`` coding is the same with intensity_weight = structure = 0.

    Attributes:
        intensity_weight: β in the weight 1 + β (x - x_dry) of the absolute error.
        structure: weight of the structure term.
        levels: rain rates in mm/h whose exceedance maps are compared.
        softness: width of the soft exceedance, in network units.
        window: side of the window of the structural similarity, in pixels.
        kl: weight of the KL divergence (summed over an image, as published).
    """

    intensity_weight: float = 10.0
    structure: float = 0.5
    levels: tuple[float, ...] = (0.5, 2.0, 8.0, 16.0)
    softness: float = 0.05
    window: int = 7
    kl: float = 1e-6


class AutoencoderLoss(NamedTuple):
    """The terms, each unweighted, and their weighted sum."""

    total: Tensor
    intensity: Tensor
    structure: Tensor
    kl: Tensor


def autoencoder_loss(
    config: AutoencoderLossConfig,
    scaling: IntensityScaling,
    frames: Tensor,
    decoded: Tensor,
    observed: Tensor,
    kl: Tensor,
) -> AutoencoderLoss:
    """L = ⟨(1 + β (x - x_dry)) |x - x̂|⟩ + λ_s ⟨1 - SSIM(m_l(x), m_l(x̂))⟩_l + λ_KL KL

    with soft exceedance maps m_l(x) = σ((x - x_l) / τ) at the levels l.

    Args:
        frames, decoded: ``(n, 1, h, w)`` in network units.
        observed: ``(n, 1, h, w)``, weight of each pixel; those of weight 0, unobserved, count in no term.
        kl: ``(n,)``
    """
    count = observed.sum().clamp_min(1e-3)
    intensity = intensity_weighted_error(scaling, config.intensity_weight, frames, decoded, observed)
    structure = frames.new_zeros(())
    if config.structure:
        # Unobserved pixels are made equal on both sides.
        seen = torch.where(observed > 0, decoded, frames)
        levels = scaling.to_network(frames.new_tensor(config.levels))[:, None, None]
        truth, approximation = (torch.sigmoid((x - levels) / config.softness) for x in (frames, seen))
        similarity = structural_similarity(truth, approximation, config.window)
        structure = ((1.0 - similarity) * observed).sum() / (count * len(config.levels))
    divergence = kl.mean()
    total = intensity + config.structure * structure + config.kl * divergence
    return AutoencoderLoss(total, intensity, structure, divergence)


def intensity_weighted_error(
    scaling: IntensityScaling, beta: float, frames: Tensor, estimate: Tensor, observed: Tensor
) -> Tensor:
    """⟨(1 + β (x - x_dry)) |x - x̂|⟩ over the observed pixels, all in network units and of one shape."""
    dry = scaling.to_network(frames.new_zeros(()))
    weight = (1.0 + beta * (frames - dry)) * observed
    return ((frames - estimate).abs() * weight).sum() / observed.sum().clamp_min(1e-3)


def structural_similarity(x: Tensor, y: Tensor, window: int) -> Tensor:
    """SSIM map ``(n, c, h, w)`` of images with range [0, 1] (Wang et al. 2004), uniform window."""

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, window, stride=1, padding=window // 2, count_include_pad=False)

    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)
