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
from ssldm.model.carried import Carried
from ssldm.model.storm_model import StormModel
from ssldm.postprocess.steps import Step, prepared
from ssldm.radar.motion import two_motions


class StormEnsemble:
    """The ensemble of a model without a denoiser, in pairs of members with opposite noise.

    All that members share is found once; nothing in the loop over them waits for the device, and what is in
    memory does not grow with their number.

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
        self.model, self.domain = model, context.shape[-2:]
        self.extent = observed_extent(context)
        device = model.latent_std.device

        found = torch.from_numpy(two_motions(context) if motions is None else motions)
        motion = self.extent.of_motion(found).to(device)
        rate = self.extent.of_frames(torch.from_numpy(context)).to(device)
        self.size = rate.shape[-2:]
        known = model.above_dry(_whole_blocks(rate, model.stride))

        self.observed: list[Tensor] = []
        self.mean: list[Tensor] = []
        self.log_deviation: list[Tensor] = []
        self.steps: list[list[Step]] = []
        for lead, carried in enumerate(carried_frames(known, motion, range(1, frames + 1), model.stride)):
            expected = model.expected(carried, torch.tensor([lead], device=device))
            self.observed.append(carried.observed[0, 0])
            self.mean.append(model.decode(expected.waves)[0, 0])
            self.log_deviation.append(expected.log_deviation)
            self.steps.append(_steps(model, carried))

        self.noise = StormNoise(known.nan_to_num(nan=0.0), motion[0], frames, model.config.noise)

    def pair(self, number: int, seed: int) -> NDArray[np.float32]:
        """Members 2n and 2n + 1: rain rate ``(2, t, H, W)`` in mm/h, NaN where it is not forecast.

        They depend on (seed, n) alone.
        """
        return self.extent.filled(self.pair_on_device(number, seed).cpu().numpy(), self.domain)

    @torch.inference_mode()
    def pair_on_device(self, number: int, seed: int) -> Tensor:
        """As `pair`, where it was computed: ``(2, t, h, w)`` of the part of the domain that is forecast."""
        height, width = self.size
        rate = torch.empty(2, len(self.mean), height, width, device=self.mean[0].device)
        noise = self.noise.draw(member_seed(seed, 2 * number))
        for lead, field in enumerate(noise):
            apart = (self.model.deviation(self.log_deviation[lead])[0, 0] * field).sum(dim=0)
            members = self.model.to_rate(torch.stack([self.mean[lead] + apart, self.mean[lead] - apart]))
            for step in self.steps[lead]:
                members = torch.cat([step(member[None]) for member in members])
            rate[:, lead] = torch.where(self.observed[lead], members, torch.nan)[:, :height, :width]
        return rate


def _steps(model: StormModel, carried: Carried) -> list[Step]:
    """Of the post-processing at one lead time, what takes rain rates ``(1, h, w)`` in mm/h to rain rates."""
    if not model.config.postprocess:
        return []
    extrapolated = model.to_rate(carried.extrapolated[0, :, 0])
    return prepared(model.config.postprocess, extrapolated, carried.observed[0])


def _whole_blocks(frames: Tensor, stride: int) -> Tensor:
    """Frames with what is unobserved around them, to whole blocks."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, -width % stride, 0, -height % stride), value=float("nan"))
