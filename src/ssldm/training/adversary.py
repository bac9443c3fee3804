"""The patch adversary of the autoencoder, with LDM's adaptive weight (Esser et al. 2021, eq. 7)."""

from typing import Any

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from ssldm.config import Config
from ssldm.model.patch_discriminator import LEAST_PATCHES, PatchDiscriminator, hinge_loss
from ssldm.training.processes import mean_over_processes

_LARGEST_WEIGHT = 1e4


class AdversaryConfig(Config):
    """How the adversary is trained.

    Attributes:
        weight: of its term, relative to the gradient of the other terms; 0 for no adversary.
        start: the step from which it is used.
        width, layers: sizes of the discriminator.
        learning_rate: of the discriminator.
    """

    weight: NonNegativeFloat = 0.0
    start: NonNegativeInt = 1000
    width: int = Field(default=32, gt=0, multiple_of=8)
    layers: PositiveInt = 2
    learning_rate: PositiveFloat = 4e-4

    @property
    def least_side(self) -> int:
        """Of frames in pixels, so that the discriminator sees a patch."""
        return int(LEAST_PATCHES * 2**self.layers)


class Adversary(nn.Module):
    """A discriminator that learns beside the autoencoder, with an optimiser of its own."""

    def __init__(self, config: AdversaryConfig) -> None:
        super().__init__()
        self.config = config
        self.discriminator = PatchDiscriminator(config.width, config.layers)
        self.optimiser = torch.optim.Adam(
            self.discriminator.parameters(), lr=config.learning_rate, betas=(0.5, 0.9)
        )

    def term(self, decoded: Tensor, others: Tensor, last: Tensor) -> Tensor:
        """λ ⟨-D(x̂)⟩ with λ = w |∂L/∂θ| / |∂⟨-D(x̂)⟩/∂θ|.

        Args:
            decoded: ``(n, 1, H, W)`` in network units.
            others: L, the other terms.
            last: θ, the weights of the decoder's last layer.
        """
        self.discriminator.requires_grad_(False)
        term = -mean_over_processes(self.discriminator(decoded).mean())
        self.discriminator.requires_grad_(True)
        of_others, of_term = (
            mean_over_processes(torch.autograd.grad(loss, last, retain_graph=True)[0])
            for loss in (others, term)
        )
        balance = of_others.norm() / (of_term.norm() + 1e-4)
        weighted: Tensor = self.config.weight * balance.clamp(0.0, _LARGEST_WEIGHT).detach() * term
        return weighted

    def learn(self, observed: Tensor, decoded: Tensor) -> Tensor:
        """One step of the discriminator; returns its loss."""
        with torch.enable_grad():
            loss = hinge_loss(self.discriminator(observed), self.discriminator(decoded.detach()))
            loss = mean_over_processes(loss)
            self.optimiser.zero_grad()
            loss.backward()
        for parameter in self.discriminator.parameters():
            parameter.grad = None if parameter.grad is None else mean_over_processes(parameter.grad)
        self.optimiser.step()
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """The optimiser's state, for a checkpoint."""
        return self.optimiser.state_dict()

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from the state in a checkpoint."""
        self.optimiser.load_state_dict(state)
