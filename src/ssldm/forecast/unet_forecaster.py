"""The deterministic U-Net as a forecaster: what the ensemble has to beat among learned methods."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from numpy.typing import NDArray

from ssldm.config import Config
from ssldm.errors import ObservationError
from ssldm.forecast.weights_folder import load_weights, read_config, weights_hash
from ssldm.model.scaling import IntensityScaling
from ssldm.paper.unet import UNet, UNetConfig


class UNetForecasterConfig(Config):
    """Configuration beside the weights of a U-Net.

    Attributes:
        name: identifier of the weights.
        context_frames, lead_frames: T_in and T_out.
    """

    name: str
    context_frames: int
    lead_frames: int
    scaling: IntensityScaling
    unet: UNetConfig


class UNetForecaster:
    """A trained U-Net, ready to forecast.

    Args:
        network: with its weights.
        config: what it is.
        source: identifier and hash of the weights.
    """

    def __init__(self, network: UNet, config: UNetForecasterConfig, source: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.config = config
        self.source = source

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load weights from a folder.

        Raises:
            ModelError: weights that cannot be loaded.
        """
        config = read_config(folder, UNetForecasterConfig)
        network = config.unet.build(config.context_frames, config.lead_frames)
        load_weights(network, folder)
        return cls(network, config, f"{config.name} {weights_hash(folder)}")

    def forecast(self, observations: xr.DataArray) -> NDArray[np.float32]:
        """The one forecast ``(1, t_out, y, x)`` in mm/h from the last frames of ``(time, y, x)``.

        Unobserved pixels count as dry; NaN stands where any context frame is unobserved.

        Raises:
            ObservationError: too few frames.
        """
        needed = self.config.context_frames
        if (found := observations.sizes["time"]) < needed:
            raise ObservationError(f"expected at least {needed} frames, found {found}")
        context = torch.from_numpy(observations.values[-needed:])
        unobserved = context.isnan().any(dim=0)
        frames = self.config.scaling.to_network(context.nan_to_num(nan=0.0))
        height, width = frames.shape[-2:]
        bottom, right = (-length % self.config.unet.stride for length in (height, width))
        padded = F.pad(frames[None], (0, right, 0, bottom), mode="replicate")
        with torch.inference_mode():
            rate = self.config.scaling.to_rate(self.network(padded)[0, :, :height, :width])
        return np.asarray(torch.where(unobserved, torch.nan, rate)[None].numpy())
