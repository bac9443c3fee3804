"""What is known at each lead time: the context, carried along two estimates of its motion."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssldm.forecast.advection import carry, trajectories
from ssldm.model.carried import Carried

# Share of a pixel's sources that must be observed, but for rounding.
_WHOLE = 1.0 - 1e-4


def carry_context(context: Tensor, motions: Tensor, leads: Sequence[int], stride: int) -> Carried:
    """Carry the context frames to some lead times.

    Args:
        context: ``(b, t_in, H, W)`` in network units above dry, NaN unobserved.
        motions: ``(b, 2, 2, H, W)`` in pixels a step, x then y, of each of the two motions.
        leads: lead times in steps, 1 for the first, in order.
        stride: pixels of a block's side.
    """
    seen = context.isfinite().all(dim=1)
    latest_first = context.nan_to_num(nan=0.0).flip(1).unbind(1)
    tracked = _along(latest_first, motions[:, 0], leads)
    second = _along(latest_first, motions[:, 1], leads)
    # Unobserved as soon as one of the four pixels is that linear interpolation takes.
    (origins,) = _along([seen.to(context)], motions[:, 0], leads)
    observed = (origins > _WHOLE) & seen[:, None]
    extrapolated = torch.where(observed, tracked[0], 0.0)
    history = [
        F.avg_pool2d(field, stride)
        for compared, fields in ((extrapolated, tracked[1:]), (extrapolated, second[:1]), (second[0], second[1:]))
        for there in fields
        for field in (there, (compared - there).abs())
    ]
    pair = torch.stack([extrapolated, torch.where(observed, second[0], 0.0)], dim=2)
    return Carried(pair, observed, torch.stack(history, dim=2))


def _along(latest_first: Sequence[Tensor], motion: Tensor, leads: Sequence[int]) -> list[Tensor]:
    """Frames ``(b, H, W)`` of increasing age, each carried to all lead times ``(b, t, H, W)``; outside dry."""
    paths = trajectories(motion, max(leads) + len(latest_first) - 1)
    return [
        torch.stack(
            [carry(frame[:, None], paths[:, lead - 1 + age])[:, 0].nan_to_num(nan=0.0) for lead in leads], dim=1
        )
        for age, frame in enumerate(latest_first)
    ]
