"""One forecast from top to bottom: context → motion → condition → expectation → noise → members."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.diffusion.sampling import member_seed
from ssldm.forecast.condition import carried_frames
from ssldm.forecast.extent import observed_extent
from ssldm.forecast.noise import StormNoise
from ssldm.forecast.outlook import Outlook
from ssldm.model.carried import Carried
from ssldm.model.storm_model import StormModel
from ssldm.postprocess.steps import Step, prepared
from ssldm.radar.motion import two_motions


class StormEnsemble:
    """The ensemble of a model without a denoiser, in pairs of members with opposite noise and displacements.

    All that members share is found once; nothing in the loop over them waits for the device, and what is in
    memory does not grow with their number. Beyond the reach of any extrapolated rain they are dry, and not
    computed. Beyond the lead times that the model was trained for the extrapolation goes on, what is expected
    of it is that of the last of them, and displacements grow on evenly.

    Args:
        model: in evaluation mode, on its device.
        context: ``(t_in, H, W)`` in mm/h, NaN unobserved.
        frames: number of lead times.
        motions: of `ssldm.radar.motion.two_motions`, searched for if None.
    """

    @torch.inference_mode()
    def __init__(
        self,
        model: StormModel,
        context: NDArray[np.float32],
        frames: int,
        motions: NDArray[np.float32] | None = None,
    ) -> None:
        self.domain = context.shape[-2:]
        self.extent = observed_extent(context)
        device, stride = model.latent_std.device, model.stride

        found = torch.from_numpy(two_motions(context) if motions is None else motions)
        motion = self.extent.of_motion(found).to(device)
        rate = self.extent.of_frames(torch.from_numpy(context)).to(device)
        known = model.above_dry(_whole_blocks(rate, stride))

        blocks = known.shape[-2] // stride, known.shape[-1] // stride
        self.outlook = Outlook(model, (rate.shape[-2], rate.shape[-1]), blocks, frames)
        self.steps: list[list[Step]] = []
        leads = range(1, frames + 1)
        for lead, carried in enumerate(carried_frames(known[None], motion[None], leads, stride)):
            trained = torch.tensor([min(lead, model.lead_frames - 1)], device=device)
            self.outlook.add(carried, model.expected(carried, trained))
            self.steps.append(self._steps_after(model, carried))

        self.noise = StormNoise(
            known.nan_to_num(nan=0.0), motion[0], self.outlook.reached, model.config.noise
        )

    def pair(self, number: int, seed: int, leads: range | None = None) -> NDArray[np.float32]:
        """Members 2n and 2n + 1: rain rate ``(2, t, H, W)`` in mm/h, NaN where it is not forecast.

        They depend on (seed, n) alone.

        Args:
            number: n.
            seed: of the ensemble.
            leads: numbers of the lead times, one after the other; all if None.
        """
        return self.pair_on_device(number, seed, leads).cpu().numpy()

    @torch.inference_mode()
    def pair_on_device(self, number: int, seed: int, leads: range | None = None) -> Tensor:
        """As `pair`, where it was computed."""
        if leads is None:
            leads = range(len(self.outlook))
        rate = torch.full((2, len(leads), *self.domain), torch.nan, device=self.noise.device)
        noise = self.noise.draw(member_seed(seed, 2 * number), first=leads.start)
        displacement = self.outlook.displacements.draw(member_seed(seed, 2 * number + 1))
        for lead, members in zip(leads, self.extent.of_frames(rate).unbind(dim=1), strict=True):
            self.outlook.write_pair(lead, next(noise), displacement, members)
            for step in self.steps[lead]:
                for member in members.split(1):
                    member[:] = step(member)
        return rate

    def _steps_after(self, model: StormModel, carried: Carried) -> list[Step]:
        """The post-processing at one lead time, of rain rates ``(1, h, w)`` in mm/h."""
        if not model.config.postprocess:
            return []
        rate = model.to_rate(carried.extrapolated[0, :, 0]).masked_fill(~carried.observed[0], torch.nan)
        return prepared(model.config.postprocess, self.outlook.inside(rate))


def _whole_blocks(frames: Tensor, stride: int) -> Tensor:
    """Frames with what is unobserved around them, to whole blocks."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, -width % stride, 0, -height % stride), value=float("nan"))
