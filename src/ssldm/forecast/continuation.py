"""Lead times beyond those that a model was trained for: each member goes on from its own last frames.

What the frames of a member are to its continuation, the observed ones are to the forecast: what has grown in
a member goes on from there. The motion stays that of the observations. What such lead times are worth stands
in `docs/research/later.md`.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ssldm.diffusion.sampling import MOST_SEED, member_generator
from ssldm.forecast.storm_ensemble import StormEnsemble
from ssldm.model.storm_model import StormModel
from ssldm.radar.motion import two_motions


class ContinuedEnsemble:
    """The pairs of a `StormEnsemble`, of any number of lead times.

    Args:
        model: in evaluation mode, on its device.
        context: ``(t_in, H, W)`` in mm/h, NaN unobserved.
        frames: number of lead times.
        motions: of `ssldm.radar.motion.two_motions`, searched for if None.
    """

    def __init__(
        self,
        model: StormModel,
        context: NDArray[np.float32],
        frames: int,
        motions: NDArray[np.float32] | None = None,
    ) -> None:
        self.model, self.frames = model, frames
        self.motions = two_motions(context) if motions is None else motions
        self.first = StormEnsemble(model, context, min(frames, model.lead_frames), self.motions)
        self._kept: tuple[tuple[int, int], list[tuple[ContinuedEnsemble, int]]] | None = None

    def pair(self, number: int, seed: int, leads: range) -> NDArray[np.float32]:
        """Members 2n and 2n + 1, see `StormEnsemble.pair`; not opposite beyond the trained lead times."""
        trained = self.model.lead_frames
        near = range(leads.start, min(leads.stop, trained))
        far = range(max(leads.start, trained) - trained, leads.stop - trained)
        parts = [self.first.pair(number, seed, near)] if near else []
        if far:
            both = [later.pair(0, own, far)[0] for later, own in self._continued(number, seed)]
            parts.append(np.stack(both))
        return np.concatenate(parts, axis=1)

    def _continued(self, number: int, seed: int) -> list[tuple["ContinuedEnsemble", int]]:
        """What becomes of both members of a pair after the trained lead times, and their seeds.

        Kept until another pair is asked for: lead times may be asked for some after the others.
        """
        if self._kept is None or self._kept[0] != (number, seed):
            trained = self.model.lead_frames
            last = self.first.pair(number, seed, range(trained - self.model.context_frames, trained))
            later = [
                ContinuedEnsemble(self.model, context, self.frames - trained, self.motions)
                for context in last
            ]
            generators = (member_generator(seed, 2 * number + member) for member in range(2))
            seeds = [int(torch.randint(MOST_SEED, (), generator=each)) for each in generators]
            self._kept = (number, seed), list(zip(later, seeds, strict=True))
        return self._kept[1]
