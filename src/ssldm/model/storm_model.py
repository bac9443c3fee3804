"""Scaling, coding, expectation and the storm's noise as one module."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssldm.model.block_autoencoder import BlockAutoencoderConfig
from ssldm.model.carried import Carried
from ssldm.model.displacement import DisplacementConfig
from ssldm.model.prior import Expectation, Prior, PriorConfig
from ssldm.model.scaling import IntensityScaling
from ssldm.model.storm_noise import StormNoiseConfig
from ssldm.model.trained_for import TrainedFor
from ssldm.postprocess.steps import PostprocessStep


class StormConfig(TrainedFor):
    """Everything that a forecast without a denoiser depends on.

    Attributes:
        scaling: from rain rates to network units, and back.
        autoencoder: from frames to latents, and back.
        prior: the network that makes the expected latents and their deviations.
        noise: random deviations from what is expected, with the structure of the storm.
        displacement: random displacements of the extrapolated rain.
        remove_speckle: whether lone pixels of the context count as clutter.
        postprocess: what is done to members, in this order.
    """

    scaling: IntensityScaling
    autoencoder: BlockAutoencoderConfig
    prior: PriorConfig = PriorConfig()
    noise: StormNoiseConfig = StormNoiseConfig()
    displacement: DisplacementConfig = DisplacementConfig()
    remove_speckle: bool = True
    postprocess: tuple[PostprocessStep, ...] = ()

    def build(self) -> "StormModel":
        """The module with fresh weights."""
        return StormModel(self)


class StormModel(nn.Module):
    """Autoencoder and prior, and the maps between rain rates, network units and waves."""

    latent_std: Tensor

    def __init__(self, config: StormConfig) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = config.autoencoder.build()
        channels = config.autoencoder.latent_channels
        self.register_buffer("latent_std", torch.ones(channels))
        self.prior = Prior(
            config.prior, channels, 4 * config.context_frames - 2, config.noise.bands, config.lead_frames
        )

    @property
    def context_frames(self) -> int:
        """T_in."""
        return self.config.context_frames

    @property
    def lead_frames(self) -> int:
        """T_out."""
        return self.config.lead_frames

    @property
    def stride(self) -> int:
        """Pixels a latent pixel."""
        return self.config.autoencoder.stride

    def above_dry(self, rate: Tensor) -> Tensor:
        """Rain rate in mm/h in network units above dry; NaN stays."""
        scaling = self.config.scaling
        return scaling.to_network(rate) - scaling.to_network(rate.new_zeros(()))

    def to_rate(self, above_dry: Tensor, *, dry: bool = True) -> Tensor:
        """Rain rate in mm/h, 0 where it is too weak to count as rain; ``dry=False`` keeps the weakest."""
        scaling = self.config.scaling if dry else self.config.scaling.model_copy(update={"dry_below": 0.0})
        return scaling.to_rate(above_dry + scaling.to_network(above_dry.new_zeros(())))

    def expected(self, carried: Carried, leads: Tensor) -> Expectation:
        """What is expected at some lead times, ``(t,)`` from 0 on, of the context carried to them."""
        pair = carried.extrapolated
        waves = self.autoencoder.waves(pair.flatten(0, 2)[:, None]).unflatten(0, pair.shape[:3])
        scaled = waves / self.latent_std[:, None, None]
        expectation: Expectation = self.prior(scaled, carried.coverage, carried.history, leads)
        return expectation

    def deviation(self, log_deviation: Tensor) -> Tensor:
        """Deviations ``(b, t, k, H, W)`` at pixels of their logarithms at blocks, see `Expectation`."""
        log = F.interpolate(log_deviation.flatten(0, 1), scale_factor=self.stride, mode="bilinear")
        deviation: Tensor = log.exp().unflatten(0, log_deviation.shape[:2])
        return deviation

    def decode(self, waves: Tensor) -> Tensor:
        """Scaled waves ``(b, t, c, h, w)`` to network units above dry, ``(b, t, H, W)``; may be below it."""
        raw = waves.flatten(0, 1) * self.latent_std[:, None, None]
        frames: Tensor = self.autoencoder.decode(raw)[:, 0].unflatten(0, waves.shape[:2])
        return frames - self.config.scaling.to_network(frames.new_zeros(()))
