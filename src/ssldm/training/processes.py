"""What the processes of one training share: each has its rows of every batch, and sums are over all of them.

Without a process group there is one process, and everything here returns what it is given.
"""

from typing import Any

import torch
from torch import Tensor, distributed


def process_count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _together() else 1


def process_rank() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if _together() else 0


def batch_shape(values: Tensor) -> tuple[int, ...]:
    """The shape ``(b, ...)`` of the whole batch of whose rows this process, of n, has ``(b / n, ...)``."""
    return len(values) * process_count(), *values.shape[1:]


def own_rows(values: Tensor) -> Tensor:
    """The rows ``(b / n, ...)`` of this process, of those of the whole batch ``(b, ...)``."""
    rows = len(values) // process_count()
    return values[process_rank() * rows :][:rows]


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum of the values of all processes, the same in each.

    Every process has to make the same loss of the sum: its gradient, averaged over processes, is then that of
    the loss of the whole batch.
    """
    return _Sum.apply(values) if _together() else values  # type: ignore[no-untyped-call]


def mean_over_processes(values: Tensor) -> Tensor:
    """Mean of the values of all processes, the same in each; see `sum_over_processes`."""
    return sum_over_processes(values) / process_count() if _together() else values


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


class _Sum(torch.autograd.Function):
    """The sum over processes; that of PyTorch is deprecated without a public successor."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        # The gradient of what all processes make of the sum, which is the same in each.
        return gradients[0] * process_count()
