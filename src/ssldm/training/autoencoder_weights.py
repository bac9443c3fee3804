"""An autoencoder alone on disk, as its training leaves it, and those in other weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from torch import Tensor

from ssldm.config import Config, first_fault
from ssldm.errors import ModelError
from ssldm.forecast.weights_folder import load_state, load_weights, read_config, read_json, read_weights
from ssldm.model.any_autoencoder import AnyAutoencoder, AnyAutoencoderConfig
from ssldm.model.scaling import IntensityScaling

MODEL = "model"
"""Folder of the weights in that of a run."""
_PART, _DEVIATION = "autoencoder.", "latent_std"


class AutoencoderWeights(Config):
    """Configuration beside the weights of an autoencoder alone."""

    scaling: IntensityScaling
    autoencoder: AnyAutoencoderConfig


@dataclass(frozen=True)
class CodedWeights:
    """An autoencoder, and what is known of its latents.

    Attributes:
        config: of the autoencoder.
        network: in evaluation mode.
        latent_std: deviation of the latents, ``(c,)``, of a model that has measured it.
    """

    config: AutoencoderWeights
    network: AnyAutoencoder
    latent_std: Tensor | None


def load_autoencoder(folder: Path) -> tuple[AutoencoderWeights, AnyAutoencoder]:
    """The autoencoder in a weights folder of `train_autoencoder`."""
    config = read_config(folder, AutoencoderWeights)
    network = config.autoencoder.build()
    load_weights(network, folder)
    return config, network.eval()


def load_coded(run: Path) -> CodedWeights:
    """The autoencoder of a run, or of a folder of weights, be they of an autoencoder or of a whole model.

    Raises:
        ModelError: no weights, or weights without an autoencoder.
    """
    folder = run / MODEL if (run / MODEL).is_dir() else run
    content = read_json(folder)
    kept = AutoencoderWeights.model_fields
    sections = {key: content[key] for key in kept if key in content} if isinstance(content, dict) else content
    try:
        config = AutoencoderWeights.model_validate(sections)
    except ValidationError as error:
        fault = first_fault(error, AutoencoderWeights)
        raise ModelError(f"{folder}: not the configuration of an autoencoder ({fault})") from error
    state = read_weights(folder)
    own = {name.removeprefix(_PART): value for name, value in state.items() if name.startswith(_PART)}
    network = config.autoencoder.build()
    load_state(network, own or state, folder)
    return CodedWeights(config, network.eval(), state.get(_DEVIATION))


def differences(weights: AutoencoderWeights, preset: BaseModel) -> Iterator[str]:
    """The keys of a trained autoencoder that are not as in the preset."""
    for section in AutoencoderWeights.model_fields:
        found, expected = (getattr(one, section).model_dump(mode="json") for one in (weights, preset))
        for key in expected.keys() | found.keys():
            if (here := found.get(key)) != (wanted := expected.get(key)):
                yield f"{section}.{key} is {here}, expected {wanted}"
