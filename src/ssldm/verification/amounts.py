"""Cases of amounts: the rain of a period that ends at each lead time, as its mean rate."""

import numpy as np

from ssldm.products.amounts import sums_until
from ssldm.verification.case import Case


def over_periods(case: Case, frames: int) -> Case:
    """The case of mean rates over the ``frames`` frames that end at each lead time.

    A pixel counts where it does in all of them; at lead times before the first whole period none does.

    Args:
        case: frame by frame.
        frames: of a period, 12 for an hour of five-minute frames.
    """
    whole = sums_until(case.valid, frames) == frames
    members = np.stack([sums_until(member, frames) for member in case.members]) / frames
    truth = sums_until(case.truth, frames) / frames
    return Case.of(members, truth, whole, case.groups)
