"""The context carried to lead times: what did not change on its way lies where the extrapolation has it."""

import pytest
import torch

from ssldm.forecast.condition import carry_context
from ssldm.model.carried import Carried

SIDE, STRIDE, RAIN = 48, 8, 0.8
LEADS = (1, 2, 3)


@pytest.fixture
def context() -> torch.Tensor:
    """A shower that moves by two pixels a step to the right, ``(t, h, w)`` in network units above dry."""
    rows, columns = torch.arange(SIDE)[:, None], torch.arange(SIDE)
    frames = [((rows - 20).abs() < 6) & ((columns - 10 - 2 * step).abs() < 6) for step in range(4)]
    return RAIN * torch.stack(frames).float()


def carried(context: torch.Tensor, *, second: float = 2.0) -> Carried:
    """Along two motions to the right, in pixels a step, of which the first is that of the shower."""
    motions = torch.zeros(2, 2, SIDE, SIDE)
    motions[0, 0], motions[1, 0] = 2.0, second
    return carry_context(context[None], motions[None], LEADS, STRIDE, spacing=1)


def means(frames: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(frames, STRIDE)


def test_the_extrapolation_is_the_last_frame_moved(context: torch.Tensor) -> None:
    found = carried(context, second=0.0).extrapolated[0]
    for lead, (tracked, still) in zip(LEADS, found, strict=True):
        torch.testing.assert_close(tracked, context[-1].roll(2 * lead, -1), atol=1e-4, rtol=0.0)
        # What comes from outside the domain along the first motion is not known along the second either.
        torch.testing.assert_close(still, context[-1], atol=1e-4, rtol=0.0)


def test_rain_that_did_not_change_has_changed_nowhere(context: torch.Tensor) -> None:
    found = carried(context)
    history = found.history[0]
    assert history.shape == (len(LEADS), 14, SIDE // STRIDE, SIDE // STRIDE)
    torch.testing.assert_close(history[:, 1::2], torch.zeros(len(LEADS), 7, 6, 6), atol=1e-4, rtol=0.0)
    expected = means(found.extrapolated[0, :, 0])
    for mean in history[:, ::2].unbind(dim=1):
        torch.testing.assert_close(mean, expected, atol=1e-4, rtol=0.0)


def test_the_change_of_one_frame_is_told_in_its_place(context: torch.Tensor) -> None:
    context[1] *= 0.25  # two frames before the last
    history = carried(context).history[0]
    assert float(history[:, 5].abs().max()) < 1e-4  # three frames before, as it was
    assert float(history[:, 3].max()) == pytest.approx(0.75 * RAIN, rel=1e-3)
    assert float(history[:, 2].max()) == pytest.approx(0.25 * RAIN, rel=1e-3)


def test_what_nobody_saw_counts_as_dry_and_is_not_forecast(context: torch.Tensor) -> None:
    context[:3] = torch.nan
    found = carried(context)
    assert not found.observed.any()
    assert not found.coverage.any()
    assert not found.history[0, :, :6].any()  # what is extrapolated is nothing, too


def test_a_hole_in_any_frame_moves_with_the_rain(context: torch.Tensor) -> None:
    context[1, 30:34, 20:24] = torch.nan
    for lead, observed in zip(LEADS, carried(context).observed[0], strict=True):
        expected = torch.ones(SIDE, SIDE, dtype=torch.bool)
        expected[:, : 2 * lead] = False  # from outside the domain
        expected[30:34, 20:24] = False
        expected[30:34, 20 + 2 * lead : 24 + 2 * lead] = False
        assert torch.equal(observed, expected)


def test_a_second_motion_carries_all_frames_again(context: torch.Tensor) -> None:
    found = carried(context, second=0.0)
    second = found.history[0, :, 6:]
    for mean, frame in zip(second[:, ::2].unbind(dim=1), context.flip(0), strict=True):
        torch.testing.assert_close(mean, means(frame[None]).expand(len(LEADS), -1, -1), atol=1e-4, rtol=0.0)
    # The last frame is compared with the extrapolation, the others with the last one as this motion has it.
    apart = (found.extrapolated[0, :, 0] - context[-1]).abs()
    torch.testing.assert_close(second[:, 1], means(apart), atol=1e-4, rtol=0.0)
    changed = (context[-1] - context[0]).abs()[None]
    torch.testing.assert_close(second[:1, 7], means(changed), atol=1e-4, rtol=0.0)


def test_squares_of_a_large_domain_are_carried_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    context = torch.rand(4, 72, 88, generator=generator)
    context[2, 30:34, 50:60] = torch.nan
    motions = 3.0 * torch.randn(2, 2, 6, 7, generator=generator)
    whole = carry_context(context[None], motions[None], LEADS, STRIDE)
    for module in ("advection", "condition"):
        monkeypatch.setattr(f"ssldm.forecast.{module}.CACHED", 35)
    parts = carry_context(context[None], motions[None], LEADS, STRIDE)
    for name in ("extrapolated", "observed", "history"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=1e-4, rtol=0.0)
