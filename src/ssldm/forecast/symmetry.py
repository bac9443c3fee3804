"""What is expected of latents does not depend on which way is up.

Ours, not the paper's. A network that learned from windows turned every way is still not quite indifferent to
how one lies. What it expects of the same window turned the eight ways, turned back and averaged, is; and its
errors are smaller, as those that differ between the ways cancel.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ssldm.model.latent_diffusion import LatentDiffusion
from ssldm.model.residual_target import Expectation
from ssldm.paper.merge_net import Condition
from ssldm.radar.windows import turn

# What turns each back: rotations by quarters, then the same followed by a flip, which undo themselves.
_BACK = (0, 3, 2, 1, 4, 5, 6, 7)


def expected_by_symmetry(model: LatentDiffusion, condition: Condition) -> Expectation:
    """`LatentDiffusion.expected`, averaged over the eight symmetries; scales geometrically.

    Args:
        model: whose latents turn with its frames (`ModelConfig.symmetric`).
        condition: of windows of any shape.
    """
    turned_back = []
    for symmetry, back in enumerate(_BACK):
        expected = model.expected(_turned_condition(model, condition, symmetry))
        mean, scale = model.turn(expected.mean, back), model.turn_scale(expected.scale, back)
        turned_back.append(Expectation(mean, scale))
    return Expectation.average(turned_back)


def _turned_condition(model: LatentDiffusion, condition: Condition, symmetry: int) -> Condition:
    """What a residual target reads of the condition, of the same windows turned."""

    def maps(x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        return torch.from_numpy(turn(x.cpu().numpy(), symmetry)).to(x.device)

    latents = condition.extrapolated_latent
    return replace(
        condition,
        extrapolated_latent=None if latents is None else model.turn(latents, symmetry),
        extrapolated_coverage=maps(condition.extrapolated_coverage),
        extrapolated_history=maps(condition.extrapolated_history),
    )
