"""What may be done to the members of an ensemble after they are made, as a model's configuration lists it."""

from collections.abc import Callable

from torch import Tensor

from ssldm.postprocess.probability_matching import ProbabilityMatching, ProbabilityMatchingConfig

# From rain rates ``(t, h, w)`` in mm/h to rain rates.
Step = Callable[[Tensor], Tensor]
PostprocessStep = ProbabilityMatchingConfig


def prepared(steps: tuple[PostprocessStep, ...], extrapolated: Tensor, observed: Tensor) -> list[Step]:
    """The steps, with what they take of the extrapolated rain.

    Args:
        steps: of the configuration, in order.
        extrapolated: ``(t, h, w)`` in mm/h.
        observed: ``(t, h, w)``, where that is known.
    """
    return [ProbabilityMatching(extrapolated, observed, step) for step in steps]
