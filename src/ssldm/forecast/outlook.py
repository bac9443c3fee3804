"""What is expected at every lead time, kept in squares where rain may come: elsewhere members stay dry."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.advection import Region
from ssldm.forecast.displacement import Displacements, displaced
from ssldm.forecast.tiling import in_pixels, squares
from ssldm.model.carried import Carried
from ssldm.model.prior import Expectation
from ssldm.model.storm_model import StormModel

# Pixels a step that rain may be from the extrapolated, for one step more than it is ahead
# (docs/research/reach.md).
_REACH = 8
# Side in pixels of the squares that are computed one after the other, or not at all.
_SIDE = 256


@dataclass(frozen=True)
class _Square:
    """Where it may rain at a lead time.

    Attributes:
        region: of what is forecast.
        near: ``(h, w)``, whether within reach of rain: elsewhere it stays dry.
        log_deviation: ``(1, k, h' + 2, w' + 2)`` of its blocks and those around it.
    """

    region: Region
    near: Tensor
    log_deviation: Tensor


class Outlook:
    """Means and deviations of a forecast, and the members that noise and displacements make of them.

    Args:
        model: that they are of.
        size: height and width of what is forecast, in pixels.
        blocks: rows and columns of the blocks that it lies in.
        frames: number of lead times.

    Attributes:
        reached: of each lead time that was added, the blocks ``(h', w')`` where it may rain, on the host.
        displacements: of pairs of members.
    """

    def __init__(
        self, model: StormModel, size: tuple[int, int], blocks: tuple[int, int], frames: int
    ) -> None:
        self.model, self.size = model, size
        self.reached: list[Tensor] = []
        self.squares: list[list[_Square]] = []
        self.pieces = squares(*blocks, _SIDE // model.stride)
        # In one piece each: many small ones that stay would keep the allocator from giving back what lies
        # between. Memory that is never written to, of means where it stays dry, is never taken.
        device, bands = model.latent_std.device, model.config.noise.bands
        self.observed = torch.empty(frames, *size, dtype=torch.bool, device=device)
        self.means = torch.zeros(frames, *size, device=device)
        self.log_deviation = torch.empty(frames, 1, bands, *(n + 2 for n in blocks), device=device)
        self.displacements = Displacements(
            size, _deviations(model, frames), model.config.displacement, device
        )

    def __len__(self) -> int:
        return len(self.squares)

    def add(self, carried: Carried, expected: Expectation) -> None:
        """What is expected at the next lead time, of the context carried to it."""
        lead, stride = len(self), self.model.stride
        within = _within_reach(self.model, carried, lead + 2)
        self.reached.append(within.cpu())
        self.observed[lead] = self.inside(carried.observed[0, 0])
        self.log_deviation[lead] = F.pad(expected.log_deviation[0], (1, 1, 1, 1), mode="replicate")
        near = self.inside(within.repeat_interleave(stride, dim=0).repeat_interleave(stride, dim=1))
        mean = self.inside(self.model.decode(expected.waves)[0, 0]) * (near & self.observed[lead])
        wet = [piece for piece in self.pieces if self.reached[lead][piece].any()]
        self.squares.append([self._square(lead, piece, mean, near) for piece in wet])

    def _square(self, lead: int, blocks: tuple[slice, slice], mean: Tensor, near: Tensor) -> _Square:
        """A piece of what is expected, the mean copied to where it is kept."""
        place = in_pixels(blocks, self.model.stride)
        region = Region.whole(*self.size).part(*place)
        region.of(self.means[lead])[:] = region.of(mean)
        rows, columns = (slice(part.start, part.stop + 2) for part in blocks)
        return _Square(region, region.of(near).clone(), self.log_deviation[lead][..., rows, columns])

    def write_pair(self, lead: int, noise: Tensor, displacement: Tensor, members: Tensor) -> None:
        """Two members ``(2, h, w)`` in mm/h, NaN where not forecast.

        Args:
            lead: number of the lead time.
            noise: ``(k, H, W)``, of the first; the other one's is the opposite.
            displacement: drawn from `displacements`.
            members: to write to.
        """
        members[:] = torch.where(self.observed[lead], 0.0, torch.nan)
        for square in self.squares[lead]:
            apart = self._apart(square, noise)
            first, second = self._means(lead, square.region, displacement)
            rate = self.model.to_rate(torch.stack([first + apart, second - apart]))
            square.region.of(members).add_(rate * square.near)

    def _means(self, lead: int, region: Region, displacement: Tensor) -> Tensor:
        """The mean ``(2, h, w)`` in network units above dry, displaced for each member of a pair."""
        around = region.wider(self.displacements.farthest(lead) + 1)
        mean, known = around.of(self.means[lead]), around.of(self.observed[lead]).float()
        of_pair = self.displacements.of_pair(displacement, lead, region)
        return displaced(mean.expand(2, -1, -1), known.expand(2, -1, -1), of_pair, region.within(around))

    def _apart(self, square: _Square, noise: Tensor) -> Tensor:
        """What a member has above its mean ``(h, w)`` in a square."""
        rows, columns = square.near.shape
        stride = self.model.stride
        deviation = self.model.deviation(square.log_deviation[None])[0, 0]
        deviation = deviation[:, stride : stride + rows, stride : stride + columns]
        return (deviation * square.region.of(noise)).sum(dim=0)

    def inside(self, frames: Tensor) -> Tensor:
        """Frames ``(..., H, W)`` of whole blocks without what is around what is forecast."""
        return frames[..., : self.size[0], : self.size[1]]


def _deviations(model: StormModel, frames: int) -> list[float]:
    """Of displacements in pixels at each lead time, beyond the trained ones in proportion to it."""
    trained: list[float] = model.prior.displacement.exp().tolist()
    return [
        trained[min(lead, len(trained)) - 1] * max(lead / len(trained), 1.0) for lead in range(1, frames + 1)
    ]


def _within_reach(model: StormModel, carried: Carried, steps: int) -> Tensor:
    """Blocks ``(h', w')`` with anything observed that rain may come to, so many steps from extrapolated."""
    stride = model.stride
    rain = model.above_dry(carried.extrapolated.new_tensor(model.config.scaling.dry_below))
    wet = F.max_pool2d((carried.extrapolated[0] > rain).float().amax(dim=1), stride)
    blocks = -(-_REACH * steps // stride)
    for kernel, padding in (((2 * blocks + 1, 1), (blocks, 0)), ((1, 2 * blocks + 1), (0, blocks))):
        wet = F.max_pool2d(wet, kernel, stride=1, padding=padding)
    return (wet[0] > 0.0) & (carried.coverage[0, 0, 0] > 0.0)
