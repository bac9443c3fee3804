"""What a nowcast has to beat: persistence, extrapolation and STEPS (pysteps)."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.radar.motion import estimate_motion, extrapolate
from ssldm.radar.observations import pixel_size, time_step
from ssldm.radar.quiet_pysteps import pysteps_module

Field = NDArray[np.float32]

_WET_MM_PER_HOUR = 0.1
_DRY_DECIBEL = -15.0
_CASCADE_LEVELS = 6


@dataclass(frozen=True)
class Setting:
    """One forecast to be made.

    Attributes:
        context: ``(t_in, h, w)`` in mm/h, NaN unobserved.
        lead_frames, members, seed: what is asked for.
        step_minutes, pixel_km: of the data.
    """

    context: Field
    lead_frames: int
    members: int
    seed: int
    step_minutes: float
    pixel_km: float

    @classmethod
    def of(cls, context: xr.DataArray, *, lead_frames: int, members: int, seed: int) -> "Setting":
        """The setting of observations ``(time, y, x)``, whose time step and pixel size it takes."""
        return cls(
            context.values,
            lead_frames=lead_frames,
            members=members,
            seed=seed,
            step_minutes=float(time_step(context) / np.timedelta64(1, "m")),
            pixel_km=pixel_size(context) / 1000.0,
        )


Baseline = Callable[[Setting], Field]
BaselineName = Literal["persistence", "extrapolation", "steps"]


def persistence(setting: Setting) -> Field:
    """The last observed frame, unchanged: ``(1, t, h, w)``."""
    return np.repeat(setting.context[-1:], setting.lead_frames, axis=0)[None]


def extrapolation(setting: Setting) -> Field:
    """The last observed frame moved along the motion of the context: ``(1, t, h, w)``."""
    return extrapolate(setting.context, setting.lead_frames).rate[None]


def steps(setting: Setting) -> Field:
    """STEPS (Bowler et al. 2006, pysteps): ``(m, t, h, w)``; extrapolation where too dry for its cascade."""
    rate = np.nan_to_num(setting.context[-3:], nan=0.0)
    wet = rate >= _WET_MM_PER_HOUR
    if wet.mean(axis=(1, 2)).min() < 0.001:
        return extrapolation(setting).repeat(setting.members, axis=0)
    decibel = np.where(wet, 10.0 * np.log10(np.maximum(rate, _WET_MM_PER_HOUR)), _DRY_DECIBEL)
    with redirect_stdout(io.StringIO()):  # it reports every time step
        forecast: NDArray[Any] = pysteps_module("nowcasts.steps").forecast(
            decibel,
            estimate_motion(setting.context),
            setting.lead_frames,
            n_ens_members=setting.members,
            n_cascade_levels=_CASCADE_LEVELS,
            precip_thr=10.0 * np.log10(_WET_MM_PER_HOUR),
            kmperpixel=setting.pixel_km,
            timestep=setting.step_minutes,
            seed=setting.seed,
            num_workers=1,
        )
    members = np.where(forecast <= 10.0 * np.log10(_WET_MM_PER_HOUR), 0.0, 10.0 ** (forecast / 10.0))
    unobserved = ~extrapolate(setting.context, setting.lead_frames).observed
    return np.where(np.isnan(forecast) | unobserved, np.nan, members).astype(np.float32)


BASELINES: dict[BaselineName, Baseline] = {
    "persistence": persistence,
    "extrapolation": extrapolation,
    "steps": steps,
}
