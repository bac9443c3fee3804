"""Times in addresses and file names, and the clock of a service."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Of an array without dimensions, too, as a coordinate holds it.
Time = np.datetime64 | NDArray[np.datetime64]
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)


def stamp_of(time: Time) -> str:
    """A time as ``20100826T033000Z``."""
    return "".join(filter(str.isalnum, iso(time)))


def time_of(stamp: str) -> np.datetime64 | None:
    """The time of a stamp; None of what is none."""
    found = _STAMP.fullmatch(stamp)
    if found is None:
        return None
    year, month, day, hour, minute, second = found.groups()
    try:
        return np.datetime64(f"{year}-{month}-{day}T{hour}:{minute}:{second}", "ns")
    except ValueError:
        return None


def iso(time: Time) -> str:
    """A time as ``2010-08-26T03:30:00Z``."""
    return f"{time.astype('datetime64[s]')}Z"


def seconds_of(duration: str) -> float:
    """Seconds of a duration such as ``120s`` or ``1h``."""
    return pd.Timedelta(duration).total_seconds()


def span_of(duration: str) -> np.timedelta64:
    """A duration such as ``120s`` or ``1h``, to add to times."""
    return pd.Timedelta(duration).to_timedelta64()


@dataclass(frozen=True)
class Clock:
    """The time of a service: that of the world, or one that plays the past.

    Attributes:
        began: the world's time when the past began to play; None where the world's time counts.
        start: the time of the past then.
        speed: hours of the past in an hour.
    """

    began: np.datetime64 | None = None
    start: np.datetime64 | None = None
    speed: float = 1.0

    def now(self) -> np.datetime64:
        """The time, UTC."""
        world = np.datetime64("now", "ns")
        if self.began is None or self.start is None:
            return world
        since = (world - self.began) / np.timedelta64(1, "ns") * self.speed
        return self.start + np.timedelta64(int(since), "ns")
