"""Which examples a step sees: a pure function of the step, so that a resumed run continues exactly."""

from collections.abc import Callable, Iterator

from torch.utils.data import Sampler


class StepSampler(Sampler[int]):
    """Numbers of the examples of one epoch; the first is ``step() * batch_size``.

    Datasets draw example n from a generator seeded by (seed, n), so no state has to be stored.
    """

    def __init__(self, step: Callable[[], int], steps_per_epoch: int, batch_size: int) -> None:
        self.step = step
        self.length = steps_per_epoch * batch_size
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        first = self.step() * self.batch_size
        return iter(range(first, first + self.length))
