"""The frames that a forecast starts from: the newest that follow each other, young enough."""

import warnings
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from ssldm.checks import positive, whole_number
from ssldm.errors import ConfigurationError, InputRepaired, NoDataError, ObservationError
from ssldm.radar.formats.protocol import ROUNDING, ReadOptions
from ssldm.radar.motion import estimate_motion, extrapolate
from ssldm.radar.observations import check_observations
from ssldm.radar.times import JITTER, is_step, minutes_of, regular_step, usual_step, utc_times

Time = str | np.datetime64 | datetime | xr.DataArray
Duration = str | np.timedelta64 | timedelta
# Coordinate of observations: the file that each frame comes from.
SOURCE_FILE = "source_file"
MOST_FRAMES = 1000
# How many times as many frames are looked at, to go back behind a gap and to know both of its sides.
LOOKED_AT = 3
# In minutes, below which a duration is told in minutes, and in hours.
_FEW_HOURS, _FEW_DAYS = 180, 4320


def latest_context(
    observations: xr.DataArray,
    frames: int,
    *,
    reference_time: Time | None = None,
    max_age: Duration | None = None,
    bridge: bool = False,
) -> xr.DataArray:
    """The frames of observations that a forecast starts from, in memory.

    Args:
        observations: ``(time, y, x)`` in mm/h.
        frames: how many.
        reference_time: the time to forecast from, UTC; later frames are left out. None is the newest frame's.
        max_age: how old the newest frame may be at the reference time, or now where none is given; one step
            where None, and any age where neither is given.
        bridge: where a frame is missing between others, put in its place what their motion makes of them;
            where more are missing, take older frames that do follow each other, within ``max_age``.

    Returns:
        ``(time, y, x)`` in mm/h, float32. Attributes: ``source_files``, where known, and
        ``frames_interpolated``, times of bridged frames.

    Raises:
        NoDataError: too few frames, too old, or nothing observed in them.
        ObservationError: frames that do not follow each other.
        ConfigurationError: no time or no duration.
    """
    check_observations(observations)
    frames = whole_number("frames", frames, 2, MOST_FRAMES)
    asked = None if reference_time is None else _time(reference_time)
    longest = None if max_age is None else duration_of(max_age)
    known = observations if asked is None else observations.sel(time=slice(None, asked))
    needed = frames - 1 if bridge else frames
    if (found := known.sizes["time"]) < needed:
        until = "" if asked is None else f" until {_stamp(asked)}"
        raise NoDataError(f"expected at least {frames} frames{until}, found {found}")
    if asked is None and longest is not None:
        asked = _time("now")
    context = _bridged(known, frames, asked, longest) if bridge else known.isel(time=slice(-frames, None))
    step = regular_step(context["time"].values)
    _check_age(context["time"].values[-1], asked, (1.0 + JITTER) * step if longest is None else longest)
    return _checked(context.load())


def _bridged(
    known: xr.DataArray, frames: int, asked: np.datetime64 | None, longest: np.timedelta64 | None
) -> xr.DataArray:
    """The newest frames that are complete but for one that lies between others."""
    known = _with_something_observed(known.isel(time=slice(-LOOKED_AT * frames, None)).load())
    times = known["time"].values
    step = usual_step(times)
    newest = times[-1] if asked is None else asked
    oldest_end = newest - (step if longest is None else longest)
    first: str | None = None
    for end in times[::-1]:
        if end < oldest_end and first is not None:
            break
        wanted = end - step * np.arange(frames - 1, -1, -1)
        places = [_place(times, time, step) for time in wanted]
        missing = [number for number, place in enumerate(places) if place is None]
        if not missing:
            return known.isel(time=places)
        if len(missing) == 1:
            time = wanted[missing[0]]
            around = [_place(times, time + sign * step, step) for sign in (-1, 1)]
            if None not in around:
                return _with_frame(known, [p for p in places if p is not None], time, around)
        lacking = ", ".join(_stamp(wanted[number]) for number in missing)
        first = first or f"up to {_stamp(end)}, found none of {lacking}"
    raise NoDataError(f"expected {frames} frames {minutes_of(step)} minutes apart {first}")


def _with_something_observed(known: xr.DataArray) -> xr.DataArray:
    """The frames that are not wholly unobserved, which count as missing."""
    observed = np.array([bool(np.isfinite(frame).any()) for frame in known.values.astype(np.float32)])
    if observed.all() or not observed.any():
        return known
    blank = ", ".join(_stamp(time) for time in known["time"].values[~observed])
    warnings.warn(f"nothing is observed at {blank}: taken for missing", InputRepaired, stacklevel=2)
    return known.isel(time=observed)


def _place(times: NDArray[np.datetime64], time: np.datetime64, step: np.timedelta64) -> int | None:
    """Which frame is that of a time, but for jitter."""
    nearest = int(np.abs(times - time).argmin())
    return nearest if is_step(step + np.abs(times[nearest] - time), step) else None


def _with_frame(
    known: xr.DataArray, places: list[int], time: np.datetime64, around: list[int | None]
) -> xr.DataArray:
    """Some frames, and one more that is made of the two around it."""
    before, after = (known.isel(time=place) for place in around)
    rate = frame_between(before.values, after.values)
    made = before.copy(data=rate).assign_coords(time=time)
    if SOURCE_FILE in made.coords:
        made = made.assign_coords({SOURCE_FILE: "interpolated"})
    stamp = _stamp(time)
    warnings.warn(f"the frame of {stamp} is missing: interpolated", InputRepaired, stacklevel=2)
    joined = xr.concat([known.isel(time=places), made], dim="time", coords="minimal", compat="override")
    return joined.sortby("time").assign_attrs(known.attrs, frames_interpolated=stamp)


def frame_between(before: NDArray[np.floating], after: NDArray[np.floating]) -> NDArray[np.float32]:
    """The frame half way between two: the mean of both, moved along the motion between them.

    Args:
        before, after: ``(h, w)`` in mm/h, NaN unobserved.

    Returns:
        ``(h, w)`` in mm/h; NaN where neither frame knows the rain.
    """
    first, last = (np.asarray(frame, np.float32) for frame in (before, after))
    motion = 0.5 * estimate_motion(np.stack([first, last]))
    moved = np.stack(
        [extrapolate(first[None], 1, motion).rate[0], extrapolate(last[None], 1, -motion).rate[0]]
    )
    observed = np.isfinite(moved)
    total = np.where(observed, moved, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.where(observed.any(axis=0), observed.sum(axis=0), np.nan), np.float32)


def _check_age(newest: np.datetime64, asked: np.datetime64 | None, longest: np.timedelta64) -> None:
    if asked is not None and asked - newest > longest:
        raise NoDataError(
            f"expected a frame at most {_words(longest)} before {_stamp(asked)}, "
            f"found the newest at {_stamp(newest)}, {_words(asked - newest)} before "
            "(--max-age allows older ones)"
        )


def _checked(context: xr.DataArray) -> xr.DataArray:
    """Values that can be forecast: single precision, finite, of rain, and some of them observed."""
    values = context.values.astype(np.float32)
    if (lowest := float(np.nanmin(values, initial=0.0))) < -ROUNDING:
        raise ObservationError(f"expected rain rates of at least 0 mm/h, found {lowest:g}")
    highest = most_believed(context)
    if beyond := int((values > highest).sum()):
        warnings.warn(
            f"{beyond} rates above {highest:g} mm/h count as unobserved", InputRepaired, stacklevel=2
        )
        values = np.where(values > highest, np.float32(np.nan), values)
    if not np.isfinite(values).all(axis=0).any():
        blank = [
            time for time, frame in zip(context["time"].values, values, strict=True) if np.isnan(frame).all()
        ]
        where = f"the frame of {_stamp(blank[0])} is wholly unobserved" if blank else "each misses some"
        raise NoDataError(
            f"expected pixels that are observed in all of {len(values)} frames, found none: {where}"
        )
    checked = context.copy(data=np.maximum(values, 0.0))
    if SOURCE_FILE in checked.coords:
        files = ", ".join(dict.fromkeys(map(str, checked[SOURCE_FILE].values)))
        checked = checked.drop_vars(SOURCE_FILE).assign_attrs(source_files=files)
    return checked


def most_believed(observations: xr.DataArray) -> float:
    """The rate in mm/h above which none is believed: what observations were read with, else the usual."""
    return positive("max_rate", observations.attrs.get("max_rate", ReadOptions().max_rate))


def _time(value: Time) -> np.datetime64:
    """A time, UTC, to the second.

    Raises:
        ConfigurationError: something else.
    """
    given: Any = value.values[()] if isinstance(value, xr.DataArray) and value.ndim == 0 else value
    fault = f"expected a time like 2021-05-11T02:30, found {value!r}"
    if not isinstance(given, str | np.datetime64 | datetime):
        raise ConfigurationError(fault)
    try:
        moment = pd.Timestamp.now("UTC") if given == "now" else pd.Timestamp(given)
        (time,) = utc_times([moment])
    except (ValueError, TypeError, ObservationError) as error:
        raise ConfigurationError(fault) from error
    return np.datetime64(time, "ns")


def duration_of(value: Duration) -> np.timedelta64:
    """A positive duration.

    Raises:
        ConfigurationError: something else.
    """
    fault = f"expected a duration like 10min, found {value!r}"
    # A number without a unit would be one of nanoseconds.
    bare = isinstance(value, str) and value.strip().replace(".", "", 1).isdigit()
    if bare or not isinstance(value, str | np.timedelta64 | timedelta):
        raise ConfigurationError(fault)
    try:
        duration = pd.Timedelta(value).as_unit("ns")
    except (ValueError, TypeError) as error:
        raise ConfigurationError(fault) from error
    if pd.isna(duration) or duration <= pd.Timedelta(0):
        raise ConfigurationError(fault)
    return np.timedelta64(duration.to_timedelta64(), "ns")


def _words(duration: np.timedelta64) -> str:
    """A duration in minutes, hours or days."""
    minutes = float(duration / np.timedelta64(1, "m"))
    if minutes < _FEW_HOURS:
        return f"{minutes:.3g} minutes"
    return f"{minutes / 60:.3g} hours" if minutes < _FEW_DAYS else f"{minutes / 1440:.0f} days"


def _stamp(time: np.datetime64) -> str:
    text = str(np.datetime_as_string(time, unit="s"))
    return text.removesuffix(":00")
