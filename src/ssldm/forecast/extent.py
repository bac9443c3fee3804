"""The part of a domain that can be forecast at all: what no radar sees need not be computed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ssldm.radar.motion import SPACING


@dataclass(frozen=True)
class Extent:
    """Rows and columns of a domain, from places on at which its motion is known."""

    rows: slice
    columns: slice

    def of_frames(self, frames: Tensor) -> Tensor:
        """The part of frames ``(..., H, W)``."""
        return frames[..., self.rows, self.columns]

    def of_motion(self, motion: Tensor) -> Tensor:
        """The part of motions ``(..., H', W')`` at every `SPACING`-th pixel."""
        rows, columns = (
            slice(part.start // SPACING, (part.stop - 1) // SPACING + 2) for part in (self.rows, self.columns)
        )
        return motion[..., rows, columns]


def observed_extent(context: NDArray[np.float32]) -> Extent:
    """The smallest rectangle with every pixel that all frames ``(t, H, W)`` observe; all if there is none."""
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(context).all(axis=0))
    parts = []
    for axis in (1, 0):
        found = np.flatnonzero(seen.any(axis=axis))
        length = seen.shape[1 - axis]
        start, stop = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, length)
        parts.append(slice(start // SPACING * SPACING, stop))
    return Extent(*parts)
