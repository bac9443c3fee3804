"""The block autoencoder: overlapping blocks of waves, fitted to each frame, and a network that refines them.

Ours, not the paper's: on a CPU it codes finer rain after minutes of training than the published
architecture after an hour (docs/research/autoencoder.md).
"""

from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from ssldm.config import Config

_DRY = -1.0
_STRONGEST = 1.3  # x - x_dry of some 35 mm/h with the usual scaling: beyond, weights do not grow
_MOMENTUM, _SCALE_MEMORY = 0.8, 0.95


class BlockAutoencoderConfig(Config):
    """Sizes of the block autoencoder, which takes dry as -1: `IntensityScaling` of kind ``power``.

    Attributes:
        kind: told apart from `AutoencoderConfig` by this.
        channels: channels of a frame in pixel space, always one.
        latent_channels: channels of a latent frame, at most ``side**2``.
        side: of a block, the pixels of a latent pixel.
        overlap: pixels that the waves of a block reach into its neighbours, at most half a side.
        patch: side of the square of pixels that the decoder's network unfolds from channels at its end.
        width: channels of the network at the patches; `multiplier` times as many at the blocks.
        multiplier: of `width`, for the channels at the blocks.
        blocks: residual blocks at each of the two.
        emphasis: κ of the weight exp(κ (x - x_dry)) of an error in the fit; 0 for plain coding.
        separation: a, what it weighs more where it takes a pixel over `heavy`; 0 for plain coding.
        heavy: x_h - x_dry of heavy rain, 9 mm/h with the usual scaling.
        softness: τ, the width of that boundary, in network units.
        fit_steps, fit_rate: number and first size of the steps of the fit.
        deviation: of the posterior, in latent units.
    """

    kind: Literal["block"] = "block"
    channels: Literal[1] = 1
    latent_channels: PositiveInt = 24
    side: PositiveInt = 8
    overlap: int = 3
    patch: PositiveInt = 4
    width: PositiveInt = 32
    multiplier: PositiveInt = 2
    blocks: NonNegativeInt = 1
    emphasis: NonNegativeFloat = 3.0
    separation: NonNegativeFloat = 120.0
    heavy: float = 0.825
    softness: PositiveFloat = 0.1
    fit_steps: NonNegativeInt = 48
    fit_rate: PositiveFloat = 0.15
    deviation: PositiveFloat = 0.005

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.side % self.patch:
            raise ValueError(f"expected a patch that divides side={self.side}, found patch={self.patch}")
        if not 0 <= 2 * self.overlap <= self.side:
            raise ValueError(
                f"expected an overlap of 0 to {self.side // 2} pixels, half of side={self.side}, "
                f"found {self.overlap}"
            )
        if self.latent_channels > self.side**2:
            raise ValueError(
                f"expected at most {self.side**2} latent_channels, "
                f"the pixels of a block of side={self.side}, found {self.latent_channels}"
            )
        return self

    @property
    def stride(self) -> int:
        """Pixels a latent pixel; frame height and width must be multiples of this."""
        return self.side

    @property
    def turns(self) -> bool:
        """Whether its frequencies are the same along y and x, see `BlockAutoencoder.turn`."""
        pairs = frequencies(self.side, self.latent_channels)
        return {(j, i) for i, j in pairs} == set(pairs)

    def build(self) -> "BlockAutoencoder":
        """An autoencoder that starts as a linear code of the lowest frequencies."""
        return BlockAutoencoder(self)


class BlockAutoencoder(nn.Module):
    """Frames to the mean and log-variance of their latents, and back.

    A block's latents are weights of its waves B: the lowest frequencies of the cosine transform (DCT-II),
    faded in and out over the seams to its neighbours (lapped, Malvar and Staelin 1989), so that blocks that
    do not agree, as those of a forecast, blend. They are not what a network makes of the frame but what fits
    it best,

        z = argmin ⟨exp(κ (max(x, y) - x_dry)) |x - y| + 4 a τ |m(x) - m(y)|⟩ with y = max(x_dry, x_dry + B z)

    and the soft exceedance map m(x) = σ((x - x_h) / τ), so that the few numbers of a block go where its rain
    is heavy, and none into keeping dry pixels at zero. Plain coding fits the absolute error alone. The
    decoder is B z and a network's correction. Nothing is normalised over space, which would scale a weak and
    a heavy shower to the same size: coding is local but for what passes the seams, nearly the same in a tile
    and in the whole. Beyond its edges a frame goes on as its mirror image.
    """

    basis: Tensor
    signs: Tensor

    def __init__(self, config: BlockAutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("basis", lapped_basis(config.side, config.latent_channels, config.overlap))
        pairs = torch.tensor(frequencies(config.side, config.latent_channels))
        # Of a mirrored wave: it is even or odd.
        self.register_buffer("signs", (1.0 - 2.0 * (pairs % 2)).T[:, :, None, None], persistent=False)
        fine, coarse = config.width, config.width * config.multiplier
        ratio = config.side // config.patch
        self.correction = nn.Sequential(
            nn.Conv2d(config.latent_channels, coarse, 3, padding=1),
            *(ConvolutionBlock(coarse) for _ in range(config.blocks)),
            nn.ConvTranspose2d(coarse, fine, ratio, stride=ratio),
            *(ConvolutionBlock(fine) for _ in range(config.blocks)),
            _zeroed(nn.Conv2d(fine, config.patch**2, 3, padding=1)),
            nn.PixelShuffle(config.patch),
        )

    @torch.no_grad()
    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance ``(n, c, h, w)`` of the latents of frames ``(n, 1, H, W)``.

        The fit takes steps of Adam (Kingma and Ba 2015) that shrink to nothing; no gradient passes it.
        """
        with torch.autocast(frames.device.type, enabled=False):
            blocks = F.pixel_unshuffle(frames.float(), self.config.side)
            mean = blocks.new_zeros(len(blocks), self.config.latent_channels, *blocks.shape[-2:])
            wet = (blocks > _DRY).flatten(1).any(dim=1)
            mean[wet] = self._fit(blocks[wet])
        return mean, 2.0 * torch.log(torch.full_like(mean, self.config.deviation))

    def waves(self, above_dry: Tensor) -> Tensor:
        """Bᵀ (x - x_dry), ``(n, c, h, w)``, of frames above dry ``(n, 1, H, W)``: where `encode` starts."""
        return self._analyse(F.pixel_unshuffle(above_dry, self.config.side))

    def _fit(self, blocks: Tensor) -> Tensor:
        """Latents ``(n, c, h, w)`` of frames as blocks ``(n, side**2, h, w)``."""
        config = self.config
        latents = self._analyse(blocks - _DRY)
        slope, scale = torch.zeros_like(latents), torch.zeros_like(latents)
        for step in range(config.fit_steps):
            fitted = self._synthesise(latents) + _DRY
            error = torch.sign(fitted - blocks) * self._weight(blocks, fitted)
            # Less than dry is dry: nearly nothing draws it back.
            gradient = self._analyse(torch.where(fitted < _DRY, 0.1 * error, error))
            slope = torch.lerp(gradient, slope, _MOMENTUM)
            scale = torch.lerp(gradient**2, scale, _SCALE_MEMORY)
            first, second = 1.0 - _MOMENTUM ** (step + 1), 1.0 - _SCALE_MEMORY ** (step + 1)
            rate = config.fit_rate * (1.0 - step / config.fit_steps)
            latents = latents - rate * (slope / first) / ((scale / second).sqrt() + 1e-8)
        return latents

    def _synthesise(self, latents: Tensor) -> Tensor:
        """B z: ``(n, c, h, w)`` → blocks ``(n, side**2, h, w)``."""
        along_y, along_x = self.signs
        z = torch.cat([latents[..., :1] * along_x, latents, latents[..., -1:] * along_x], dim=-1)
        z = torch.cat([z[..., :1, :] * along_y, z, z[..., -1:, :] * along_y], dim=-2)
        return F.conv2d(z, self.basis)

    def _analyse(self, blocks: Tensor) -> Tensor:
        """Bᵀ x, the adjoint of `_synthesise`: blocks ``(n, side**2, h, w)`` → ``(n, c, h, w)``."""
        along_y, along_x = self.signs
        z = F.conv_transpose2d(blocks, self.basis)
        z[..., 1, :] += z[..., 0, :] * along_y[..., 0]
        z[..., -2, :] += z[..., -1, :] * along_y[..., 0]
        z[..., 1] += z[..., 0] * along_x[..., 0]
        z[..., -2] += z[..., -1] * along_x[..., 0]
        return z[..., 1:-1, 1:-1]

    def _weight(self, blocks: Tensor, fitted: Tensor) -> Tensor:
        """What an error of a pixel costs: exp(κ …), of the stronger of the two, and the slope of 4 a τ m."""
        config = self.config
        stronger = (torch.maximum(blocks, fitted) - _DRY).clamp(0.0, _STRONGEST)
        exceedance = torch.sigmoid((fitted - _DRY - config.heavy) / config.softness)
        boundary = 4.0 * exceedance * (1.0 - exceedance)
        return torch.exp(config.emphasis * stronger) + config.separation * boundary

    def decode(self, latents: Tensor) -> Tensor:
        """Frames ``(n, 1, H, W)`` in network units of latents ``(n, c, h, w)``."""
        fitted = F.pixel_shuffle(self._synthesise(latents), self.config.side) + _DRY
        frames: Tensor = fitted + self.correction(latents)
        return frames

    def turn(self, latents: Tensor, symmetry: int) -> Tensor:
        """The latents ``(..., c, h, w)`` of frames turned by 0 to 3 quarters; from 4 on, then mirrored in x.

        Exact where `BlockAutoencoderConfig.turns`: a turned cosine is another of the basis, or its negative.
        """
        pairs = frequencies(self.config.side, self.config.latent_channels)
        swapped = [pairs.index((j, i)) for i, j in pairs]
        along_y, along_x = self.signs
        for _ in range(symmetry % 4):
            transposed = latents.transpose(-2, -1)[..., swapped, :, :]
            latents = transposed.flip(-2) * along_y
        return latents.flip(-1) * along_x if symmetry >= 4 else latents

    @property
    def last_layer(self) -> nn.Parameter:
        """The weights that an adversary is balanced at."""
        (weight, _) = self.correction[-2].parameters()
        return weight


class ConvolutionBlock(nn.Module):
    """x + two 3×3 convolutions, the second of which starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            _zeroed(nn.Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, c, h, w)`` → ``(n, c, h, w)``"""
        out: Tensor = x + self.branch(x)
        return out


def lapped_basis(side: int, number: int, overlap: int) -> Tensor:
    """Waves in the order of `frequencies`, as a convolution ``(side**2, number, 3, 3)`` of latents to blocks.

    Cosines that fade over the seams, where the windows of neighbours add up to one; without overlap they are
    orthonormal, and only the middle of the convolution is not zero.
    """
    place = torch.arange(-side, 2 * side) + 0.5
    waves = torch.cos(torch.arange(side)[:, None] * place * torch.pi / side) * (2.0 / side) ** 0.5
    waves[0] /= 2.0**0.5
    into = torch.minimum(place, side - place) + overlap  # the seam, 2*overlap wide
    waves *= torch.sin(0.5 * torch.pi * (into / max(2 * overlap, 1e-3)).clamp(0.0, 1.0)) ** 2
    # A block's neighbour at -1 sees what its waves are beyond its far edge.
    waves = waves.reshape(side, 3, side).flip(1)
    chosen = torch.tensor(frequencies(side, number))
    basis = torch.einsum("cap,cbq->pqcab", waves[chosen[:, 0]], waves[chosen[:, 1]])
    return basis.flatten(0, 1)


def frequencies(side: int, number: int) -> list[tuple[int, int]]:
    """The lowest frequencies of a square, along y and x, lowest first."""
    pairs = ((i, j) for i in range(side) for j in range(side))
    return sorted(pairs, key=lambda ij: (sum(ij), max(ij), ij))[:number]


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
