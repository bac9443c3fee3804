"""The intensity-structure loss: our reading of the paper's latent coding.

The published code carries no such loss, only a remark that its autoencoder was trained with one.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator
from torch import Tensor

from ssldm.config import Config
from ssldm.model.scaling import IntensityScaling
from ssldm.training.processes import mean_over_processes, process_count, sum_over_processes

_RARE = 1e-3  # share of the pixels
_FAINT_POWER = 1e-3  # (mm/h)², of rain that nobody would miss


class AutoencoderLossConfig(Config):
    """Weights of the terms; ``plain`` coding has intensity_weight = structure = overlap = spectrum = 0.

    Attributes:
        intensity_weight, intensity_power: β and γ in the weight 1 + β (x - x_dry)^γ of the absolute error.
        structure: weight of the structure term.
        overlap: weight of the overlap term.
        levels: rain rates in mm/h whose exceedance maps are compared. From 4 mm/h they lie close together, so
            that the terms do not favour the rates that forecasts are verified at over those between them.
        softness: width of the soft exceedance, in network units.
        window: side of the windows of the structural similarity, in pixels.
        spectrum: weight of the spectrum term.
        wavelengths: shortest and longest in it, in pixels.
        kl: weight of the KL divergence a pixel (LDM sums errors and divergence over an image: the same).
    """

    intensity_weight: NonNegativeFloat = 30.0
    intensity_power: NonNegativeFloat = 2.0
    structure: NonNegativeFloat = 0.2
    overlap: NonNegativeFloat = 2.0
    levels: tuple[PositiveFloat, ...] = Field(
        default=(0.5, 2.0, 4.0, 5.7, 8.0, 11.3, 16.0, 22.6, 32.0), min_length=1
    )
    softness: PositiveFloat = 0.07
    window: int = Field(default=8, ge=2)
    spectrum: NonNegativeFloat = 0.1
    wavelengths: tuple[PositiveFloat, PositiveFloat] = (3.5, 18.0)
    kl: NonNegativeFloat = 1e-6

    @model_validator(mode="after")
    def _wavelengths_are_a_range(self) -> Self:
        shortest, longest = self.wavelengths
        if longest < shortest:
            raise ValueError(
                f"expected wavelengths from the shortest to the longest, found {shortest:g} to {longest:g}"
            )
        return self


class AutoencoderLoss(NamedTuple):
    """The terms, each unweighted, and their weighted sum."""

    total: Tensor
    intensity: Tensor
    structure: Tensor
    overlap: Tensor
    spectrum: Tensor
    kl: Tensor


def autoencoder_loss(
    config: AutoencoderLossConfig,
    scaling: IntensityScaling,
    frames: Tensor,
    decoded: Tensor,
    observed: Tensor,
    kl: Tensor,
) -> AutoencoderLoss:
    """The terms of the loss and their sum.

    L = ⟨(1 + β (x - x_dry)^γ) |x - x̂|⟩ + λ_s ⟨S_l⟩_l + λ_o ⟨J_l⟩_l
        + λ_P ⟨|ln (P_k(R̂) + ε) / (P_k(R) + ε)|⟩_k + λ_KL KL

    with soft exceedance maps m_l(x) = σ((x - x_l) / τ) at the levels l. S_l is the mean of
    1 - SSIM(m_l(x), m_l(x̂)) where rain of level l is near, and J_l the soft Jaccard distance of the maps,
    one minus the critical success index of crisp ones: so heavy rain, which covers little, counts as much as
    light rain. P_k is the power of rain in mm/h, averaged over bands k of half an octave in wavelength.
    Means and sums are over the images of all processes.

    Args:
        frames, decoded: ``(n, 1, h, w)`` in network units.
        observed: ``(n, 1, h, w)``, weight of each pixel; those of weight 0, unobserved, count in no term.
        kl: ``(n,)``, summed over each image.
    """
    dry = scaling.to_network(frames.new_zeros(()))
    # Less than dry is dry; a tenth of the slope is left for the optimiser to come back.
    decoded = torch.maximum(decoded, dry + 0.1 * (decoded - dry))
    intensity = intensity_weighted_error(
        scaling, config.intensity_weight, frames, decoded, observed, config.intensity_power
    )
    structure = overlap = spectrum = frames.new_zeros(())
    # Unobserved pixels are made equal on both sides.
    seen = torch.where(observed > 0, decoded, frames)
    if config.structure or config.overlap:
        levels = scaling.to_network(frames.new_tensor(config.levels))[:, None, None]
        truth, approximation = (torch.sigmoid((x - levels) / config.softness) for x in (frames, seen))
        if config.structure:
            structure = structure_difference(truth, approximation, observed, config.window)
        if config.overlap:
            overlap = jaccard_distance(truth, approximation, observed)
    if config.spectrum:
        powers = (band_power(scaling.to_rate(x)[:, 0], config.wavelengths) for x in (frames, seen))
        truth, approximation = (power + _FAINT_POWER for power in powers)
        spectrum = mean_over_processes((approximation / truth).log().abs().mean())
    divergence = mean_over_processes(kl.mean()) / frames[0].numel()
    total = intensity + config.structure * structure + config.overlap * overlap
    total = total + config.spectrum * spectrum + config.kl * divergence
    return AutoencoderLoss(total, intensity, structure, overlap, spectrum, divergence)


def intensity_weighted_error(
    scaling: IntensityScaling,
    beta: float,
    frames: Tensor,
    estimate: Tensor,
    observed: Tensor,
    gamma: float = 1.0,
) -> Tensor:
    """⟨(1 + β (x - x_dry)^γ) |x - x̂|⟩ over the observed pixels, all in network units and of one shape."""
    dry = scaling.to_network(frames.new_zeros(()))
    weight = (1.0 + beta * (frames - dry) ** gamma) * observed
    error, count = ((frames - estimate).abs() * weight).sum(), observed.sum()
    return sum_over_processes(error) / sum_over_processes(count).clamp_min(1e-3)


def structure_difference(truth: Tensor, approximation: Tensor, observed: Tensor, window: int) -> Tensor:
    """Mean over levels of 1 - SSIM of exceedance maps ``(n, levels, h, w)``, each where its rain is near.

    A level that is rarer than a part in a thousand counts less. Neighbouring windows share half their side.
    """
    near = torch.maximum(truth, approximation).detach() * observed
    near = _windows(near, window, F.max_pool2d)
    different = 1.0 - structural_similarity(truth, approximation, window)
    count = sum_over_processes(near.sum(dim=(0, 2, 3))).clamp_min(_rare(near))
    return (sum_over_processes((different * near).sum(dim=(0, 2, 3))) / count).mean()


def jaccard_distance(truth: Tensor, approximation: Tensor, observed: Tensor) -> Tensor:
    """Mean over levels of Σ|a - b| / Σ max(a, b) of exceedance maps ``(n, levels, h, w)``.

    Sums are over the batch; a level that is rarer than a part in a thousand counts less.
    """
    different = sum_over_processes(((truth - approximation).abs() * observed).sum(dim=(0, 2, 3)))
    either = sum_over_processes((torch.maximum(truth, approximation) * observed).sum(dim=(0, 2, 3)))
    return (different / either.clamp_min(_rare(truth))).mean()


def _rare(maps: Tensor) -> float:
    """The least sum of a level of maps ``(n, levels, h, w)`` that counts in full."""
    return _RARE * maps[:, 0].numel() * process_count()


def structural_similarity(x: Tensor, y: Tensor, window: int) -> Tensor:
    """SSIM ``(n, c, rows, columns)`` in windows that overlap by half, of images ``(n, c, h, w)`` in [0, 1].

    Wang et al. 2004, with uniform windows.
    """

    def mean(values: Tensor) -> Tensor:
        return _windows(values, window, F.avg_pool2d)

    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)


def _windows(values: Tensor, window: int, pool: Callable[..., Tensor]) -> Tensor:
    """Pool in windows that overlap by half; rows, then columns, as that is less work than a square."""
    rows = pool(values, (window, 1), stride=(window // 2, 1))
    return pool(rows, (1, window), stride=(1, window // 2))


def band_power(rate: Tensor, wavelengths: tuple[float, float]) -> Tensor:
    """Mean power ``(n, k)`` of fields ``(n, h, w)`` in bands of half an octave between two wavelengths."""
    height, width = rate.shape[-2:]
    power = torch.fft.rfft2(rate).abs() ** 2 / (height * width)
    rows = torch.fft.fftfreq(height, device=rate.device)
    columns = torch.fft.rfftfreq(width, device=rate.device)
    frequency = torch.hypot(rows[:, None], columns[None, :])
    band = torch.round(-2.0 * torch.log2(frequency.clamp_min(1e-9)))
    first, last = (round(2.0 * math.log2(length)) for length in wavelengths)
    members = [(band == k).to(power) for k in range(first, last + 1)]
    share = torch.stack([mask / mask.sum().clamp_min(1.0) for mask in members])
    return torch.einsum("nhw,khw->nk", power, share)
