"""Cases of amounts: the rain of a period that ends at each lead time, as its mean rate."""

import numpy as np
from numpy.typing import NDArray

from ssldm.verification.case import Case


def over_periods(case: Case, frames: int) -> Case:
    """The case of mean rates over the ``frames`` frames that end at each lead time.

    A pixel counts where it does in all of them; at lead times before the first whole period none does.

    Args:
        case: frame by frame.
        frames: of a period, 12 for an hour of five-minute frames.
    """
    leads = len(case.truth)
    whole = _sums(case.valid.astype(np.float32), frames) > frames - 0.5
    members = np.stack([_sums(member, frames) for member in case.members]) / frames
    truth = _sums(case.truth, frames) / frames
    whole[: min(frames - 1, leads)] = False
    return Case.of(members, truth, whole, case.groups)


def _sums(field: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """Of the frames until each ``(t, h, w)``, at most so many."""
    running = np.cumsum(field, axis=0, dtype=np.float64)
    running[frames:] -= running[:-frames].copy()
    return running
