"""The last frame carried along a motion, on any device: as `ssldm.radar.motion.extrapolate`, but quicker."""

from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from ssldm.forecast.advection import WHOLE, Region, carry, trajectory
from ssldm.radar.motion import SPACING


@torch.inference_mode()
def extrapolated_rate(
    context: NDArray[np.float32], frames: int, motion: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The last context frame at some lead times.

    Args:
        context: ``(t, h, w)`` in mm/h, NaN unobserved.
        frames: number of lead times.
        motion: ``(2, h, w)`` in pixels a step, x then y; linear between every `SPACING`-th pixel.

    Returns:
        ``(frames, h, w)`` in mm/h; NaN where any context frame is unobserved, and where the motion brings in
        what is, or what lies outside of the domain.
    """
    region = Region.whole(*context.shape[-2:])
    seen = torch.from_numpy(np.isfinite(context).all(axis=0))
    fields = torch.stack([torch.from_numpy(np.nan_to_num(context[-1], nan=0.0)), seen.to(torch.float32)])
    coarse = torch.from_numpy(np.ascontiguousarray(motion[None, :, ::SPACING, ::SPACING]))
    found = []
    for displacement in islice(trajectory(coarse, region, SPACING), frames):
        rate, covered = carry(fields[None], displacement, region)[0]
        found.append(rate.masked_fill((covered <= WHOLE) | ~seen, torch.nan))
    return torch.stack(found).numpy()
