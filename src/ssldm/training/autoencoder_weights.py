"""An autoencoder alone on disk, as its training leaves it."""

from pathlib import Path

from ssldm.config import Config
from ssldm.forecast.weights_folder import load_weights, read_config
from ssldm.model.any_autoencoder import AnyAutoencoder, AnyAutoencoderConfig
from ssldm.model.scaling import IntensityScaling

MODEL = "model"
"""Folder of the weights in that of a run."""


class AutoencoderWeights(Config):
    """Configuration beside the weights of an autoencoder alone."""

    scaling: IntensityScaling
    autoencoder: AnyAutoencoderConfig


def load_autoencoder(folder: Path) -> tuple[AutoencoderWeights, AnyAutoencoder]:
    """The autoencoder in a weights folder of `train_autoencoder`."""
    config = read_config(folder, AutoencoderWeights)
    network = config.autoencoder.build()
    load_weights(network, folder)
    return config, network.eval()
