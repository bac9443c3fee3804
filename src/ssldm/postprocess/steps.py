"""What may be done to the members of an ensemble after they are made, as a model's configuration lists it."""

from collections.abc import Callable

from torch import Tensor

from ssldm.postprocess.probability_matching import ProbabilityMatching, ProbabilityMatchingConfig

# From rain rates ``(t, h, w)`` in mm/h to rain rates.
Step = Callable[[Tensor], Tensor]
PostprocessStep = ProbabilityMatchingConfig


def prepared(steps: tuple[PostprocessStep, ...], extrapolated: Tensor) -> list[Step]:
    """The steps, in order, and what they take of extrapolated rates ``(t, h, w)`` in mm/h, NaN unknown."""
    return [ProbabilityMatching(extrapolated, step) for step in steps]
