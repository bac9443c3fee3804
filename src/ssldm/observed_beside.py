"""Observations beside a forecast: on the same pixels, at the same times."""

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.drawable import north_up
from ssldm.errors import ObservationError
from ssldm.radar.grid import wkt_of
from ssldm.radar.observations import check_observations, pixel_size

# Of a pixel and of the time step: what is nearer is the same.
_SAME_PIXEL = 0.1
_SAME_TIME = 0.1

_Points = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class ObservedBeside:
    """Observations ``(time, y, x)`` that are known to lie on the pixels of a forecast.

    Attributes:
        observations: in mm/h; a frame is read when it is asked for.
        tolerance: between times that are the same.
    """

    observations: xr.DataArray
    tolerance: np.timedelta64

    @classmethod
    def of(cls, observations: xr.DataArray, forecast: xr.Dataset) -> "ObservedBeside":
        """Observations to be shown beside a forecast that is `drawable`, brought the same way up.

        Raises:
            ObservationError: no observations, or those of another grid or place.
        """
        observations = north_up(check_observations(observations))
        check_same_grid(observations, forecast)
        lead = forecast["lead_time"].values
        step = np.diff(lead).min() if len(lead) > 1 else lead[0]
        return cls(observations, (_SAME_TIME * step).astype("timedelta64[ns]"))

    def at(self, time: np.datetime64) -> tuple[str, NDArray[np.float32] | None]:
        """What to call the observation of a time, and its field ``(y, x)`` in mm/h; None where there is none.

        After the last observation it is "not observed yet", before it, where a frame is missing or empty, "no
        observation".
        """
        times = self.observations["time"].values
        if not len(times) or time > times.max() + self.tolerance:
            return "not observed yet", None
        nearest = int(np.abs(times - time).argmin())
        if abs(times[nearest] - time) > self.tolerance:
            return "no observation", None
        field = self.observations[nearest].values
        return ("observed", field) if np.isfinite(field).any() else ("no observation", None)

    def until(self, time: np.datetime64, count: int) -> list[np.datetime64]:
        """The last ``count`` times of observations until a time."""
        times = self.observations["time"].values
        return list(times[times <= time + self.tolerance][-count:])


def check_same_grid(observations: xr.DataArray, forecast: xr.Dataset) -> None:
    """Whether pixels of observations and of a forecast lie at the same places, as far as both say.

    Raises:
        ObservationError: sizes or places that differ, or pixels that are more than a tenth of one apart.
    """
    places = [data.attrs.get("place") for data in (forecast, observations)]
    same_place = None in places or places[0] == places[1]
    if not (same_place and _same_size(observations, forecast) and _near(observations, forecast)):
        raise ObservationError(
            f"expected observations on the grid of the forecast, {_described(forecast)}, "
            f"found {_described(observations)}"
        )


def _same_size(observations: xr.DataArray, forecast: xr.Dataset) -> bool:
    return all(observations.sizes[axis] == forecast.sizes[axis] for axis in "yx")


def _near(observations: xr.DataArray, forecast: xr.Dataset) -> bool:
    """Whether corners, middles of the edges and the centre are at the same places."""
    if not all({"y", "x"} <= set(data.coords) for data in (observations, forecast)):
        return True
    (x, y), (expected_x, expected_y) = _points(observations), _points(forecast)
    theirs, ours = wkt_of(observations), wkt_of(forecast)
    if theirs is not None and ours is not None and theirs != ours:
        from pyproj import CRS, Transformer

        x, y = Transformer.from_crs(CRS.from_wkt(theirs), CRS.from_wkt(ours), always_xy=True).transform(x, y)
    apart = np.hypot(x - expected_x, y - expected_y)  # infinite where a projection does not reach
    return bool((apart <= _SAME_PIXEL * pixel_size(observations)).all())


def _points(data: xr.DataArray | xr.Dataset) -> _Points:
    x, y = (data[axis].values[[0, data.sizes[axis] // 2, -1]].astype(np.float64) for axis in "xy")
    across, down = np.meshgrid(x, y)
    return across.ravel(), down.ravel()


def _described(data: xr.DataArray | xr.Dataset) -> str:
    """Size, pixels, corners, projection and place of a grid."""
    parts = [f"{data.sizes['y']}×{data.sizes['x']} pixels"]
    if {"y", "x"} <= set(data.coords):
        x, y = data["x"].values, data["y"].values
        steps = [abs(axis[-1] - axis[0]) / max(len(axis) - 1, 1) for axis in (y, x)]
        parts[0] += f" of {steps[0]:.6g}×{steps[1]:.6g} m"
        parts.append(f"from x {x[0]:.0f}, y {y[0]:.0f} to x {x[-1]:.0f}, y {y[-1]:.0f} m")
    if (wkt := wkt_of(data)) is not None:
        from pyproj import CRS

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # PROJ text leaves out some of it
            parts.append(CRS.from_wkt(wkt).to_proj4())
    if "place" in data.attrs:
        parts.append(f"place {data.attrs['place']}")
    return "(" + ", ".join(parts) + ")"
