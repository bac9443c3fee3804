"""The configuration of a model, whichever kind it is of."""

from pathlib import Path

from ssldm.forecast.weights_folder import read_config, read_json
from ssldm.model.latent_diffusion import ModelConfig
from ssldm.model.storm_model import StormConfig


def read_model_config(folder: Path) -> ModelConfig | StormConfig:
    """The configuration in a weights folder.

    Raises:
        ModelError: no configuration, or not one of a model.
    """
    content = read_json(folder)
    has_prior = isinstance(content, dict) and "prior" in content
    kind: type[ModelConfig | StormConfig] = StormConfig if has_prior else ModelConfig
    return read_config(folder, kind)
