"""The configurations of all autoencoders, told apart by their ``kind``; the paper's where none is given."""

from typing import Annotated

from pydantic import Tag

from ssldm.config import by_kind
from ssldm.model.block_autoencoder import BlockAutoencoder, BlockAutoencoderConfig
from ssldm.paper.autoencoder import Autoencoder, AutoencoderConfig

AnyAutoencoder = Autoencoder | BlockAutoencoder

AnyAutoencoderConfig = Annotated[
    Annotated[AutoencoderConfig, Tag("kl")] | Annotated[BlockAutoencoderConfig, Tag("block")],
    by_kind("kl"),
]
