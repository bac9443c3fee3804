"""The storm's noise over a whole forecast: it moves with the rain and remembers the frame before."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ssldm.forecast.advection import Region, sample_at, trajectory
from ssldm.forecast.tiling import Tiling, squares
from ssldm.model.storm_noise import StormNoiseConfig, filtered, storm_filters
from ssldm.radar.motion import SPACING

# Of the parts of a domain that have a spectrum of their own, in pixels, and the share that they overlap by.
_PART, _OVERLAP = 128, 0.5
# Parts that are filtered together: what the cache of a processor holds, or what keeps an accelerator busy.
_TOGETHER_ON_CPU, _TOGETHER = 4, 64
# Side in pixels of the squares that white noise is carried in, and pixels between the places of which it is
# kept where it comes from.
_SIDE, _SPACING = 256, 8


class StormNoise:
    """Draws noise fields on a domain.

    One field of white noise a member, carried by the motion as the rain is; then filtered, part by part where
    the domain is large, so that the white noise below is the same where parts overlap.

    Args:
        context: ``(t_in, h, w)`` in network units above dry, no NaN.
        motion: ``(2, h', w')`` in pixels a step, x then y, at every `ssldm.radar.motion.SPACING`-th pixel.
        asked: of each lead time whether noise is asked for, ``(h'', w'')`` on the host, of blocks that the
            domain falls into; parts without are not filtered. A member's white noise does not depend on it.
        config: bands and memory.
    """

    def __init__(
        self, context: Tensor, motion: Tensor, asked: Sequence[Tensor], config: StormNoiseConfig
    ) -> None:
        self.config = config
        self.size = height, width = context.shape[-2], context.shape[-1]
        self.device = context.device
        tiling = Tiling(height, width, _PART, round(_OVERLAP * _PART), 1)
        self.weight = tiling.weight().to(self.device)
        total = torch.zeros(height, width, device=self.device)
        for part in tiling:
            total[part] += self.weight
        self.share = 1.0 / total

        blocks = torch.stack(list(asked))
        side = height // blocks.shape[1]
        self.parts = [part for part in tiling if blocks[:, *_blocks(part, side)].any()]
        numbers = range(len(self.parts))
        self.batches, self.carried = [], []
        whole = Region.whole(height, width)
        for each in blocks:
            made = [number for number in numbers if each[_blocks(self.parts[number], side)].any()]
            below = torch.zeros_like(each)
            for number in made:
                below[_blocks(self.parts[number], side)] = True
            self.batches.append(_batches(made, self.device))
            self.carried.append(
                [
                    whole.part(*square)
                    for square in squares(height, width, _SIDE)
                    if below[_blocks(square, side)].any()
                ]
            )
        steps = trajectory(motion[None], whole, SPACING)
        self.displacements = [next(steps)[..., ::_SPACING, ::_SPACING].clone() for _ in self.carried]
        waves = self.weight.shape[0], self.weight.shape[1] // 2 + 1
        self.filters = torch.empty(len(self.parts), config.bands, *waves, device=self.device)
        for batch in _batches(numbers, self.device):
            contexts = torch.stack([context[:, *self.parts[number]] for number in batch])
            self.filters[batch[0] : batch[-1] + 1] = storm_filters(contexts, config)

    def draw(self, seed: int, first: int = 0) -> Iterator[Tensor]:
        """Noise ``(k, h, w)`` of unit variance in each band, at one lead time after the other from the first.

        It is whole in the blocks that it was asked for in.
        """
        generator = torch.Generator(self.device).manual_seed(seed)
        memory = self.config.memory
        state = torch.randn(self.size, generator=generator, device=self.device)
        for lead in range(len(self.batches)):
            if lead:
                fresh = torch.randn(self.size, generator=generator, device=self.device)
                state.mul_(memory).add_(fresh, alpha=(1.0 - memory**2) ** 0.5)
                del fresh
            # Kept under no name, so that not two of them are in memory.
            if lead >= first:
                yield self._filtered(state, lead)

    def _filtered(self, state: Tensor, lead: int) -> Tensor:
        white = torch.zeros_like(state)
        for square in self.carried[lead]:
            square.of(white)[:] = self._from_where_it_was(state, self.displacements[lead], square)
        noise = white.new_zeros(self.config.bands, *self.size)
        for batch in self.batches[lead]:
            filters = torch.stack([self.filters[number] for number in batch])
            below = torch.stack([white[self.parts[number]] for number in batch])[:, None]
            for number, made in zip(batch, filtered(below, filters), strict=True):
                part = self.parts[number]
                noise[:, *part].addcmul_(made, self.weight * self.share[part])
        return noise

    def _from_where_it_was(self, state: Tensor, displacement: Tensor, square: Region) -> Tensor:
        """White noise of a square from the nearest pixels to where its air was, of a domain that repeats."""
        nowhere = displacement.new_zeros(1, 2, square.height, square.width)
        x, y = sample_at(displacement, nowhere, square, _SPACING)[0].round().int()
        rows = torch.arange(square.row, square.row + square.height, device=self.device)[:, None]
        columns = torch.arange(square.column, square.column + square.width, device=self.device)
        height, width = self.size
        return state[(rows + y) % height, (columns + x) % width]


def _blocks(pixels: tuple[slice, slice], side: int) -> tuple[slice, slice]:
    """Rows and columns of the blocks, of so many pixels a side, that some pixels are in."""
    rows, columns = (slice(each.start // side, -(-each.stop // side)) for each in pixels)
    return rows, columns


def _batches(numbers: Sequence[int], device: torch.device) -> list[Sequence[int]]:
    together = _TOGETHER_ON_CPU if device.type == "cpu" else _TOGETHER
    return [numbers[start : start + together] for start in range(0, len(numbers), together)]
