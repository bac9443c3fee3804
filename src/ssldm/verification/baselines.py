"""What a nowcast has to beat: persistence, extrapolation and the methods of pysteps.

Where one of the last frames has fewer than a thousandth of its pixels wet (0.1 mm/h), or where they are too
uniform or too still for an autoregression to be fitted, the methods of pysteps fall back to extrapolation;
all members are then alike. They say so by a warning, `FellBack`. All of them need `CONTEXT_FRAMES`.
"""

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.motion import Extrapolation, extrapolate
from ssldm.radar.observations import pixel_size, time_step
from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.verification.quiet_pysteps import pysteps_module

Field = NDArray[np.float32]

_WET_DECIBEL = -10.0
_DRY_DECIBEL = -15.0
_LEAST_WET_SHARE = 0.001
_CASCADE_LEVELS = 6
CONTEXT_FRAMES = 4
"""As many frames as the method that needs most."""


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


class FellBack(UserWarning):
    """A baseline that could not be fitted to the context and extrapolated instead."""


Baseline = Callable[[Setting], Field]
BaselineName = Literal["persistence", "extrapolation", "sprog", "steps", "anvil", "linda"]


def persistence(setting: Setting) -> Field:
    """The last observed frame, unchanged: ``(1, t, h, w)``."""
    return np.repeat(setting.context[-1:], setting.lead_frames, axis=0)[None]


def extrapolation(setting: Setting) -> Field:
    """The last observed frame moved along the motion of the context: ``(1, t, h, w)``."""
    return extrapolate(setting.context, setting.lead_frames).rate[None]


def _or_extrapolation(method: Baseline, *, ensemble: bool = False) -> Baseline:
    """The method, or extrapolation with a warning where nothing can be fitted to the context."""

    @wraps(method)
    def forecast(setting: Setting) -> Field:
        if (found := len(setting.context)) < CONTEXT_FRAMES:
            raise ObservationError(f"expected {CONTEXT_FRAMES} frames for {method.__name__}, found {found}")
        try:
            if not _too_dry(setting):
                return method(setting)
            reason = "too dry"
        except (ValueError, IndexError, np.linalg.LinAlgError) as error:  # of a still or a uniform field
            reason = str(error)
        warnings.warn(f"{method.__name__}: extrapolation instead ({reason})", FellBack, stacklevel=2)
        return extrapolation(setting).repeat(setting.members if ensemble else 1, axis=0)

    return forecast


def _too_dry(setting: Setting) -> bool:
    """Whether any of the last frames has fewer wet pixels than an autoregression can be fitted to."""
    wet = np.nan_to_num(setting.context[-4:], nan=0.0) >= WET_MM_PER_HOUR
    return bool(wet.mean(axis=(1, 2)).min() < _LEAST_WET_SHARE)


@_or_extrapolation
def sprog(setting: Setting) -> Field:
    """S-PROG (Seed 2003, pysteps), scales that lose their predictability fade: ``(1, t, h, w)``."""
    moved = extrapolate(setting.context, setting.lead_frames)
    with redirect_stdout(io.StringIO()):
        forecast = pysteps_module("nowcasts.sprog").forecast(
            _decibel(setting),
            moved.motion,
            setting.lead_frames,
            precip_thr=_WET_DECIBEL,
            n_cascade_levels=_CASCADE_LEVELS,
        )
    return _observed_only(moved, _rate_of_decibel(forecast)[None])


@partial(_or_extrapolation, ensemble=True)
def steps(setting: Setting) -> Field:
    """STEPS (Bowler et al. 2006, pysteps): ``(m, t, h, w)``."""
    moved = extrapolate(setting.context, setting.lead_frames)
    with redirect_stdout(io.StringIO()):  # it reports every time step
        forecast: NDArray[Any] = pysteps_module("nowcasts.steps").forecast(
            _decibel(setting),
            moved.motion,
            setting.lead_frames,
            n_ens_members=setting.members,
            n_cascade_levels=_CASCADE_LEVELS,
            precip_thr=_WET_DECIBEL,
            kmperpixel=setting.pixel_km,
            timestep=setting.step_minutes,
            seed=setting.seed,
            num_workers=1,
        )
    return _observed_only(moved, _rate_of_decibel(forecast))


@_or_extrapolation
def anvil(setting: Setting) -> Field:
    """ANVIL (Pulkkinen et al. 2020, pysteps) on rain rate, growth and decay go on: ``(1, t, h, w)``."""
    moved = extrapolate(setting.context, setting.lead_frames)
    with redirect_stdout(io.StringIO()):
        forecast = pysteps_module("nowcasts.anvil").forecast(
            np.nan_to_num(setting.context[-4:], nan=0.0).astype(np.float64),
            moved.motion,
            setting.lead_frames,
            n_cascade_levels=_CASCADE_LEVELS,
            num_workers=1,
        )
    return _observed_only(moved, np.maximum(forecast, 0.0)[None])


@partial(_or_extrapolation, ensemble=True)
def linda(setting: Setting) -> Field:
    """LINDA (Pulkkinen et al. 2021, pysteps), convolutions around the strongest cells: ``(m, t, h, w)``.

    Its estimation takes minutes on a domain of 256×256 pixels.
    """
    moved = extrapolate(setting.context, setting.lead_frames)
    with redirect_stdout(io.StringIO()):
        forecast = pysteps_module("nowcasts.linda").forecast(
            np.nan_to_num(setting.context[-3:], nan=0.0).astype(np.float64),
            moved.motion,
            setting.lead_frames,
            n_ens_members=setting.members,
            kmperpixel=setting.pixel_km,
            timestep=setting.step_minutes,
            seed=setting.seed,
            num_workers=1,
        )
    return _observed_only(moved, np.maximum(forecast, 0.0))


def _decibel(setting: Setting) -> NDArray[np.floating]:
    """The last three frames in decibels of mm/h, unobserved pixels dry."""
    rate = np.nan_to_num(setting.context[-3:], nan=0.0)
    wet = rate >= WET_MM_PER_HOUR
    return np.where(wet, 10.0 * np.log10(np.maximum(rate, WET_MM_PER_HOUR)), _DRY_DECIBEL)


def _rate_of_decibel(decibel: NDArray[Any]) -> NDArray[Any]:
    """Rain rate in mm/h, 0 where not wet; NaN stays NaN."""
    rate = np.where(decibel <= _WET_DECIBEL, 0.0, 10.0 ** (decibel / 10.0))
    return np.where(np.isnan(decibel), np.nan, rate)


def _observed_only(moved: Extrapolation, members: NDArray[Any]) -> Field:
    """NaN where the motion brings in air that was not observed."""
    return np.where(moved.observed, members, np.nan).astype(np.float32)


BASELINES: dict[BaselineName, Baseline] = {
    "persistence": persistence,
    "extrapolation": extrapolation,
    "sprog": sprog,
    "steps": steps,
    "anvil": anvil,
    "linda": linda,
}
ENSEMBLES: frozenset[BaselineName] = frozenset({"steps", "linda"})
"""Those that depend on the number of members and on a seed."""
