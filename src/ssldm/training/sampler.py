"""Which examples a step sees: a pure function of the step, so that a resumed run continues exactly."""

from collections.abc import Callable, Iterator

from torch.utils.data import Sampler

from ssldm.training.processes import process_count, process_rank


class StepSampler(Sampler[int]):
    """Numbers of the examples of one epoch that this process is to see.

    Step s is of the examples from ``s * batch_size`` on, of which each process has its rows, in order of
    rank: together they see what one alone would see. Datasets draw example n from a generator seeded by
    (seed, n), so no state has to be stored.

    Args:
        step: the step that has been reached.
        steps_per_epoch: steps of the epoch.
        batch_size: examples a step, of all processes together.
    """

    def __init__(self, step: Callable[[], int], steps_per_epoch: int, batch_size: int) -> None:
        self.step = step
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.rows = batch_size // process_count()

    def __len__(self) -> int:
        return self.steps_per_epoch * self.rows

    def __iter__(self) -> Iterator[int]:
        first = self.step()
        for step in range(first, first + self.steps_per_epoch):
            start = step * self.batch_size + process_rank() * self.rows
            yield from range(start, start + self.rows)


def own_examples(count: int) -> range:
    """Numbers of the examples of a validation, each of which one process sees."""
    return range(process_rank(), count, process_count())
