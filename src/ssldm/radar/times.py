"""Times of frames: what can be a time, and the step between frames that are not quite regular.

Times are kept to the second. Frames are regular where no time departs by more than a twentieth of the step
(`JITTER`) from times of one step. The nominal step is the multiple of half a minute that lies within a
fortieth (`ROUNDING`) of the mean step, else the mean step itself.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssldm.errors import ObservationError

JITTER = 0.05
ROUNDING = 0.025
_ROUND_SECONDS = 30
_SAME = np.timedelta64(30, "s")
# What can be counted in nanoseconds.
_FIRST, _LAST = np.datetime64("1678-01-01", "s"), np.datetime64("2262-01-01", "s")
_SECOND = np.timedelta64(1, "s")
# Of cftime: calendars whose dates are those of everybody.
_CIVIL = {"standard", "gregorian", "proleptic_gregorian"}


def utc_times(values: Any) -> NDArray[np.datetime64]:
    """Times as ``datetime64[ns]``, UTC, to the second.

    Args:
        values: datetime64, or dates of Python, pandas or cftime, with a time zone or, without one, UTC.

    Raises:
        ObservationError: something that is no time, missing (NaT), or of another calendar.
    """
    array = np.atleast_1d(values)
    if array.dtype.kind == "M":
        seconds = array.astype("datetime64[s]")
        if ((seconds < _FIRST) | (seconds > _LAST)).any():
            raise ObservationError(f"expected times from {_FIRST} to {_LAST}, found {array.min()}")
        times = array.astype("datetime64[ns]")
    elif array.dtype.kind == "O" and array.size and all(_is_date(value) for value in array.flat):
        times = np.array([_utc(value) for value in array.flat], "datetime64[ns]").reshape(array.shape)
    else:
        example = array.flat[0] if array.size else "none"
        raise ObservationError(f"expected times (datetime64, UTC), found {array.dtype} such as {example!r}")
    if np.isnat(times).any():
        number = int(np.flatnonzero(np.isnat(times.ravel()))[0])
        raise ObservationError(f"expected a time for every frame, found none (NaT) for frame {number}")
    half = np.timedelta64(500_000_000, "ns")
    return np.asarray((times + half).astype("datetime64[s]").astype("datetime64[ns]"))


def _is_date(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("year", "month", "day", "hour", "minute", "second"))


def _utc(value: Any) -> np.datetime64:
    if (calendar := getattr(value, "calendar", None)) is not None:  # of cftime
        if calendar not in _CIVIL:
            raise ObservationError(f"expected times of the standard calendar, found {calendar!r}")
        value = value.isoformat()
    try:
        time = pd.Timestamp(value).as_unit("ns")
    except ValueError as error:
        raise ObservationError(f"expected times from {_FIRST} to {_LAST}, found {value}") from error
    return (time if time.tz is None else time.tz_convert("UTC").tz_localize(None)).to_datetime64()


def nominal_step(step: np.timedelta64) -> np.timedelta64:
    """A step as it is meant to be: the nearest multiple of half a minute if near, else whole seconds."""
    seconds = float(step / _SECOND)
    rounded = _ROUND_SECONDS * round(seconds / _ROUND_SECONDS)
    near = abs(seconds - rounded) <= ROUNDING * rounded
    return np.timedelta64(1_000_000_000 * (rounded if near else round(seconds)), "ns")


def usual_step(times: NDArray[np.datetime64]) -> np.timedelta64:
    """The nominal step that most frames follow each other by.

    Args:
        times: in order, each once.

    Raises:
        ObservationError: fewer than two.
    """
    if len(times) < 2:
        raise ObservationError(f"expected at least two frames to know the time step, found {len(times)}")
    steps = np.sort(np.diff(times))
    # Of each step, those that differ from it by jitter alone.
    lengths = steps.astype(np.float64)
    first = np.searchsorted(lengths, (1.0 - 2.0 * JITTER) * lengths, side="left")
    end = np.searchsorted(lengths, (1.0 + 2.0 * JITTER) * lengths, side="right")
    most = int(np.argmax(end - first))
    return nominal_step(steps[first[most] : end[most]].mean())


def is_step(steps: NDArray[np.timedelta64], step: np.timedelta64) -> NDArray[np.bool_]:
    """Whether steps are the nominal one, but for the jitter of both their ends."""
    return np.asarray(np.abs(steps / step - 1.0) <= 2.0 * JITTER)


def regular_step(times: NDArray[np.datetime64]) -> np.timedelta64:
    """The one nominal step between all frames.

    Args:
        times: in order, each once.

    Raises:
        ObservationError: fewer than two frames, or steps that differ.
    """
    if len(times) < 2:
        raise ObservationError(f"expected at least two frames to know the time step, found {len(times)}")
    steps = np.diff(times)
    departures = (times - times[0]) / steps.mean() - np.arange(len(times))
    if np.ptp(departures) <= 2.0 * JITTER:
        return nominal_step(steps.mean())
    found = ", ".join(dict.fromkeys(minutes_of(each) for each in np.unique(steps)))
    raise ObservationError(f"expected frames of equal step, found steps of {found} minutes")


def coinciding(one: NDArray[np.datetime64], other: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Those times of one that another has too, within half a minute; both in order."""
    after = np.searchsorted(other, one).clip(1, max(len(other) - 1, 1))
    if not len(other):
        return one[:0]
    nearest = np.minimum(
        np.abs(one - other[after - 1]), np.abs(one - other[np.minimum(after, len(other) - 1)])
    )
    return np.asarray(one[nearest < _SAME])


def minutes_of(step: np.timedelta64) -> str:
    """Minutes in words: 5, or 5:07 with seconds."""
    seconds = round(step / _SECOND)
    minutes, rest = divmod(abs(seconds), 60)
    sign = "-" if seconds < 0 else ""
    return f"{sign}{minutes}:{rest:02}" if rest else f"{sign}{minutes}"
