"""No rain from nowhere: a member is dry farther from the extrapolated rain than that may have come.

Ours, not the paper's. Over dry ground the little noise that is left makes patches of drizzle that have no
cause; what is observed there begins at places that nothing foretells. Nearer by, the same noise is what is
not known of the motion, and stays.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ssldm.radar.units import WET_MM_PER_HOUR


def within_reach(extrapolated: Sequence[NDArray[np.float32]], pixels: float) -> NDArray[np.bool_]:
    """Where rain may be: at lead frame n at most so many pixels times n + 1 from where it is moved to.

    Args:
        extrapolated: in each way that is trusted, ``(t, h, w)`` in mm/h; NaN counts as dry.
        pixels: a lead frame.

    Returns:
        ``(t, h, w)``; nowhere in a frame without rain.
    """
    wet = np.any([rate >= WET_MM_PER_HOUR for rate in extrapolated], axis=0)
    near = np.zeros(wet.shape, np.bool_)
    for n, frame in enumerate(wet, start=1):
        if frame.any():
            near[n - 1] = distance_transform_edt(~frame) <= pixels * (n + 1)
    return near
