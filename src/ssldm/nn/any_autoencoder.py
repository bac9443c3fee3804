"""The configurations of all autoencoders, told apart by their ``kind``; the paper's where none is given."""

from typing import Annotated

from pydantic import Tag

from ssldm.config import by_kind
from ssldm.nn.autoencoder import Autoencoder, AutoencoderConfig
from ssldm.nn.block_autoencoder import BlockAutoencoder, BlockAutoencoderConfig

AnyAutoencoder = Autoencoder | BlockAutoencoder

AnyAutoencoderConfig = Annotated[
    Annotated[AutoencoderConfig, Tag("kl")] | Annotated[BlockAutoencoderConfig, Tag("block")],
    by_kind("kl"),
]
