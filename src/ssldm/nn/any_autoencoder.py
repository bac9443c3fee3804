"""The configurations of all autoencoders, told apart by their ``kind``."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Discriminator, Tag

from ssldm.nn.autoencoder import Autoencoder, AutoencoderConfig
from ssldm.nn.block_autoencoder import BlockAutoencoder, BlockAutoencoderConfig

AnyAutoencoder = Autoencoder | BlockAutoencoder


def _kind(value: object) -> str:
    """The paper's where none is given."""
    found = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return str(found or "kl")


AnyAutoencoderConfig = Annotated[
    Annotated[AutoencoderConfig, Tag("kl")] | Annotated[BlockAutoencoderConfig, Tag("block")],
    Discriminator(_kind),
]
