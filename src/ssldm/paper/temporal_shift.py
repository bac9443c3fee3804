"""Temporal shift: information moves between lead frames at no arithmetic cost."""

import torch
from torch import Tensor


def temporal_shift(x: Tensor, frames: int, fraction: int = 8) -> Tensor:
    """Exchange some channels with the neighbouring frames.

    The first ``c // fraction`` channels take the value of the next frame, the second ``c // fraction``
    that of the previous one, both zero beyond the ends; the rest stay.

    Args:
        x: ``(b*t, c, h, w)``, frame fastest.
        frames: ``t``.
        fraction: the reciprocal of the share of channels shifted in each direction.

    Returns:
        ``(b*t, c, h, w)``
    """
    size = x.shape[1] // fraction
    y = x.unflatten(0, (-1, frames))
    shifted = torch.zeros_like(y)
    shifted[:, :-1, :size] = y[:, 1:, :size]
    shifted[:, 1:, size : 2 * size] = y[:, :-1, size : 2 * size]
    shifted[:, :, 2 * size :] = y[:, :, 2 * size :]
    return shifted.flatten(0, 1)
