"""The history of a rain that moves: what did not change on its way lies where the extrapolation has it."""

import numpy as np
import pytest
import torch

from ssldm.forecast.motion_history import motion_history
from ssldm.model.scaling import IntensityScaling
from ssldm.radar.motion import Extrapolation, advect

SIDE, STEPS, STRIDE = 48, 3, 8
SCALING = IntensityScaling()


@pytest.fixture
def moving() -> tuple[np.ndarray, np.ndarray]:
    """A shower that moves by two pixels a step to the right: its frames, and its motion."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    frames = [
        np.where((abs(rows - 20) < 6) & (abs(columns - 10 - 2 * step) < 6), 8.0, 0.0) for step in range(4)
    ]
    motion = np.zeros((2, SIDE, SIDE), np.float32)
    motion[0] = 2.0
    return np.stack(frames).astype(np.float32), motion


def moved(context: np.ndarray, motion: np.ndarray) -> Extrapolation:
    rate = advect(np.nan_to_num(context[-1]), motion, STEPS).astype(np.float32)
    return Extrapolation(rate, np.isfinite(rate), motion)


def scaled(rate: np.ndarray) -> torch.Tensor:
    return SCALING.to_network(torch.from_numpy(rate)) - SCALING.to_network(torch.zeros(()))


def means(frames: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(frames, STRIDE)


def above_dry(rate: float) -> float:
    return float(scaled(np.float32(rate)[None]))


def test_steady_rain_has_changed_nowhere(moving: tuple[np.ndarray, np.ndarray]) -> None:
    context, motion = moving
    extrapolated = moved(context, motion)
    history = motion_history(context, extrapolated, SCALING, STRIDE)
    assert history.shape == (STEPS, 14, SIDE // STRIDE, SIDE // STRIDE)
    history = history[:, :6]
    torch.testing.assert_close(history[:, 1::2], torch.zeros(STEPS, 3, 6, 6), atol=1e-5, rtol=0.0)
    expected = means(scaled(np.nan_to_num(extrapolated.rate)))
    for mean in history[:, ::2].unbind(dim=1):
        torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-5)


def test_the_change_is_that_of_the_scaled_rain(moving: tuple[np.ndarray, np.ndarray]) -> None:
    context, motion = moving
    # Half the rain two frames ago; everything else as it was.
    context[1] = context[1] / 8.0
    history = motion_history(context, moved(context, motion), SCALING, STRIDE)
    changed, steady = history[:, 3], history[:, 5]
    assert float(steady.abs().max()) < 1e-5
    whole = above_dry(8.0) - above_dry(1.0)
    assert float(changed.max()) == pytest.approx(whole, rel=1e-4)
    assert float(history[:, 2].max()) == pytest.approx(above_dry(1.0), rel=1e-4)


def test_what_nobody_saw_counts_as_dry(moving: tuple[np.ndarray, np.ndarray]) -> None:
    context, motion = moving
    unseen = context.copy()
    unseen[:3] = np.nan
    history = motion_history(unseen, moved(context, motion), SCALING, STRIDE)
    assert history[:, :6:2].abs().max() == 0.0
    # All of the rain is new, then.
    assert float(history[:, 1].max()) == pytest.approx(above_dry(8.0), rel=1e-4)


def test_a_domain_that_is_no_multiple_is_filled_up(moving: tuple[np.ndarray, np.ndarray]) -> None:
    context, motion = moving
    small = context[:, :45, :41]
    history = motion_history(small, moved(small, motion[:, :45, :41]), SCALING, STRIDE)
    assert history.shape[-2:] == (6, 6)


def test_a_second_motion_moves_all_frames_again(
    moving: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, motion = moving
    extrapolated = moved(context, motion)
    monkeypatch.setattr("ssldm.forecast.motion_history.mean_motion", lambda *_: 0.0 * motion)
    unmoved = motion_history(context, extrapolated, SCALING, STRIDE)[:, 6:]
    frames = scaled(context[::-1].copy())
    for mean, frame in zip(unmoved[:, ::2].unbind(dim=1), frames, strict=True):
        torch.testing.assert_close(mean, means(frame[None]).expand(STEPS, -1, -1), atol=1e-5, rtol=1e-5)
    # The last frame is compared with the extrapolation, the others with the last one as this motion moves it.
    apart = (scaled(np.nan_to_num(extrapolated.rate)) - frames[0]).abs()
    torch.testing.assert_close(unmoved[:, 1], means(apart), atol=1e-5, rtol=1e-5)
    changed = (frames[0] - frames[3]).abs()[None]
    torch.testing.assert_close(unmoved[:1, 7], means(changed), atol=1e-5, rtol=1e-5)
