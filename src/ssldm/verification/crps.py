"""Continuous ranked probability score of an ensemble."""

import numpy as np
from numpy.typing import NDArray


def crps_ensemble(
    members: NDArray[np.floating], observed: NDArray[np.floating], *, fair: bool = False
) -> NDArray[np.float32]:
    """CRPS = ⟨|x_i - y|⟩_i - ½ ⟨|x_i - x_j|⟩_ij at each pixel, in the unit of the members.

    The second mean runs over all pairs, or over pairs of different members where ``fair`` (Ferro 2014).
    The pairs are summed over the sorted members, so memory does not grow with their square.

    Args:
        members: ``(m, ...)``
        observed: ``(...)``

    Returns:
        ``(...)``; NaN where the observation or a member is.
    """
    count = len(members)
    ordered = np.sort(members, axis=0)  # NaN sorts last and stays NaN in both sums
    rank = (2.0 * np.arange(count) - count + 1.0).reshape(-1, *([1] * observed.ndim))
    pairs = 2.0 * (rank * ordered).sum(axis=0)
    error = np.abs(members - observed).mean(axis=0)
    norm = count * (count - 1) if fair else count**2
    return np.asarray(error - 0.5 * pairs / norm, dtype=np.float32)
