"""One forecast from top to bottom: context → motion → condition → expectation → noise → members."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssldm.diffusion.sampling import member_seed
from ssldm.forecast.condition import carried_frames
from ssldm.forecast.extent import observed_extent
from ssldm.forecast.noise import StormNoise
from ssldm.forecast.tiling import in_pixels, squares
from ssldm.model.carried import Carried
from ssldm.model.storm_model import StormModel
from ssldm.postprocess.steps import Step, prepared
from ssldm.radar.motion import two_motions

# Pixels a step that rain may be from the extrapolated, for one step more than it is ahead
# (docs/research/reach.md).
_REACH = 8
# Side in pixels of the squares that are computed one after the other, or not at all.
_SIDE = 256


@dataclass(frozen=True)
class _Square:
    """Where it may rain at a lead time.

    Attributes:
        place: rows and columns.
        mean: ``(h, w)`` in network units above dry, -inf where it stays dry.
        log_deviation: ``(1, k, h' + 2, w' + 2)`` of its blocks and those around it.
    """

    place: tuple[slice, slice]
    mean: Tensor
    log_deviation: Tensor


class StormEnsemble:
    """The ensemble of a model without a denoiser, in pairs of members with opposite noise.

    All that members share is found once; nothing in the loop over them waits for the device, and what is in
    memory does not grow with their number. Beyond the reach of any extrapolated rain they are dry, and not
    computed.

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

        # In one piece each: many small ones that stay would keep the allocator from giving back what lies
        # between. Memory that is never written to, of means where it stays dry, is never taken.
        blocks = known.shape[-2] // model.stride, known.shape[-1] // model.stride
        pieces = squares(*blocks, _SIDE // model.stride)
        self.observed = torch.empty(frames, *self.size, dtype=torch.bool, device=device)
        self.means = known.new_empty(frames, len(pieces), _SIDE, _SIDE)
        self.log_deviation = known.new_empty(frames, 1, model.config.noise.bands, *(n + 2 for n in blocks))
        self.squares: list[list[_Square]] = []
        self.steps: list[list[Step]] = []
        reached = []
        for lead, carried in enumerate(carried_frames(known[None], motion[None], range(1, frames + 1), model.stride)):
            expected = model.expected(carried, torch.tensor([lead], device=device))
            within = _within_reach(model, carried, lead + 2)
            reached.append(within.cpu())
            self.observed[lead] = self._inside(carried.observed[0, 0])
            self.log_deviation[lead] = F.pad(expected.log_deviation[0], (1, 1, 1, 1), mode="replicate")
            dry = ~_at_pixels(within, model.stride)
            mean = model.decode(expected.waves)[0, 0].masked_fill(dry, -torch.inf)
            self.squares.append([])
            for piece, kept in zip(pieces, self.means[lead], strict=True):
                if reached[-1][piece].any():
                    self.squares[-1].append(self._square(lead, piece, mean, kept))
            self.steps.append(self._steps_after(carried))
        self.noise = StormNoise(known.nan_to_num(nan=0.0), motion[0], reached, model.config.noise)

    def pair(self, number: int, seed: int) -> NDArray[np.float32]:
        """Members 2n and 2n + 1: rain rate ``(2, t, H, W)`` in mm/h, NaN where it is not forecast.

        They depend on (seed, n) alone.
        """
        return self.pair_on_device(number, seed).cpu().numpy()

    @torch.inference_mode()
    def pair_on_device(self, number: int, seed: int) -> Tensor:
        """As `pair`, where it was computed."""
        rate = torch.full((2, len(self.squares), *self.domain), torch.nan, device=self.noise.device)
        noise = self.noise.draw(member_seed(seed, 2 * number))
        for lead, forecast in enumerate(self.extent.of_frames(rate).unbind(dim=1)):
            self._forecast(lead, next(noise), forecast)
        return rate

    def _forecast(self, lead: int, noise: Tensor, members: Tensor) -> None:
        """Write a pair at one lead time, of noise ``(k, h, w)``, to members ``(2, h, w)`` in mm/h."""
        members[:] = torch.where(self.observed[lead], 0.0, torch.nan)
        for square in self.squares[lead]:
            apart = self._apart(square, noise)
            members[:, *square.place] += self.model.to_rate(
                torch.stack([square.mean + apart, square.mean - apart])
            )
        for step in self.steps[lead]:
            members[:] = torch.cat([step(member[None]) for member in members])

    def _square(self, lead: int, blocks: tuple[slice, slice], mean: Tensor, kept: Tensor) -> _Square:
        """Some blocks of what is expected, the mean ``(H, W)`` copied to where it is kept."""
        place = in_pixels(blocks, self.model.stride)
        of_place = self._inside(mean)[place]
        rows, columns = (slice(part.start, part.stop + 2) for part in blocks)
        return _Square(
            place,
            kept[: of_place.shape[0], : of_place.shape[1]].copy_(of_place),
            self.log_deviation[lead][..., rows, columns],
        )

    def _apart(self, square: _Square, noise: Tensor) -> Tensor:
        """What a member has above the mean ``(h, w)`` of a square, from noise ``(k, H, W)``."""
        rows, columns = square.mean.shape
        stride = self.model.stride
        deviation = self.model.deviation(square.log_deviation[None])[0, 0]
        deviation = deviation[:, stride : stride + rows, stride : stride + columns]
        return (deviation * noise[:, *square.place][:, :rows, :columns]).sum(dim=0)

    def _steps_after(self, carried: Carried) -> list[Step]:
        """The post-processing at one lead time, of rain rates ``(1, h, w)`` in mm/h."""
        asked = self.model.config.postprocess
        if not asked:
            return []
        extrapolated = self.model.to_rate(self._inside(carried.extrapolated[0, :, 0]))
        return prepared(asked, extrapolated, self._inside(carried.observed[0]))

    def _inside(self, frames: Tensor) -> Tensor:
        """Frames ``(..., h, w)`` of whole blocks without what is around the extent."""
        return frames[..., : self.size[0], : self.size[1]]


def _within_reach(model: StormModel, carried: Carried, steps: int) -> Tensor:
    """Blocks ``(h', w')`` with anything observed that rain may come to, so many steps from extrapolated."""
    stride = model.stride
    rain = model.above_dry(carried.extrapolated.new_tensor(model.config.scaling.dry_below))
    wet = F.max_pool2d((carried.extrapolated[0] > rain).float().amax(dim=1), stride)
    blocks = -(-_REACH * steps // stride)
    for kernel, padding in (((2 * blocks + 1, 1), (blocks, 0)), ((1, 2 * blocks + 1), (0, blocks))):
        wet = F.max_pool2d(wet, kernel, stride=1, padding=padding)
    return (wet[0] > 0.0) & (carried.coverage[0, 0, 0] > 0.0)


def _at_pixels(blocks: Tensor, stride: int) -> Tensor:
    """Of blocks ``(h, w)``, at their pixels."""
    return blocks.repeat_interleave(stride, dim=0).repeat_interleave(stride, dim=1)


def _whole_blocks(frames: Tensor, stride: int) -> Tensor:
    """Frames with what is unobserved around them, to whole blocks."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, -width % stride, 0, -height % stride), value=float("nan"))
