"""Rain of a point and of areas over the lead times, with what was observed before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError
from ssldm.forecast.encoding import LEAD_BOUNDS
from ssldm.product_files import products_of
from ssldm.products import accessor  # noqa: F401  # forecast.ssldm
from ssldm.products.grid import PixelGrid
from ssldm.products.polygons import Area
from ssldm.products_config import ProductsConfig
from ssldm.radar.observations import NAME
from ssldm.service.calibration import calibration_in, with_calibration
from ssldm.service.refusals import NotThereError

# Of an area that must be forecast for its mean, see `covered_share`.
LEAST_COVERED = 0.5
_PERIODS = "amount_quantile_", "amount_probability_"
# Of rates, in mm/h: the store's rounding is taken out.
_DECIMALS = 4
_BLOCK_BYTES = 2**28
_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class Frames:
    """What was observed on the pixels of a forecast.

    Attributes:
        times: ``(t,)``, rising.
        fields: ``t`` fields ``(y, x)`` in mm/h.
    """

    times: NDArray[np.datetime64]
    fields: Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Series:
    """Rain of places.

    Attributes:
        kind: "point" or "area", the dimension of the places.
        products: of `ssldm.product_files.products_of`, ``(…, lead_time, place)``.
        known: by period, the share of each that is known ``(lead_time, place)``.
        arrival: of `ssldm.products.times.arrival_time`, for the lowest threshold.
        threshold: of the arrival, in mm/h.
        observed: ``(time, place)`` in mm/h.
        covered: share of each area that is forecast ``(lead_time, place)``; None of points.
    """

    kind: str
    products: xr.Dataset
    known: dict[str, xr.DataArray]
    arrival: xr.Dataset
    threshold: float
    observed: xr.DataArray
    covered: xr.DataArray | None = None


def asked_of(forecast: xr.Dataset) -> ProductsConfig:
    """The products that a stored forecast has maps of."""
    periods = dict.fromkeys(
        str(name).removeprefix(prefix)
        for name in forecast.data_vars
        for prefix in _PERIODS
        if str(name).startswith(prefix)
    )
    quantiles, thresholds = (
        tuple(round(float(each), 6) for each in forecast[name].values) if name in forecast.coords else ()
        for name in ("quantile", "threshold")
    )
    return ProductsConfig(quantiles=quantiles, thresholds=thresholds, periods=tuple(periods))


def since(forecast: xr.Dataset) -> np.datetime64:
    """From when on frames are shown, and needed for amounts."""
    reference: Any = forecast["forecast_reference_time"].values
    first: np.datetime64 = reference - max(asked_of(forecast).longest.to_timedelta64(), _HOUR)
    return first


def of_point(forecast: xr.Dataset, frames: Frames, lat: float, lon: float) -> Series:
    """Rain at a point.

    Args:
        forecast: a stored forecast; of it one pixel is read.
        frames: before it.
        lat, lon: in degrees.

    Raises:
        NotThereError: a point outside of the domain.
    """
    try:
        place = forecast[[NAME]].ssldm.at(lat=lat, lon=lon)
    except ConfigurationError as error:
        raise NotThereError("the point lies outside of the domain") from error
    row, column = (int(np.abs(forecast[axis].values - float(place[axis])).argmin()) for axis in "yx")
    seen = np.array([field[row, column] for field in frames.fields], np.float32)
    named = place.load().expand_dims(point=["1"], axis=2)
    named = named.assign_coords({name: ("point", [float(place[name])]) for name in ("lat", "lon")})
    named = named.drop_vars(["x", "y"])
    observed = xr.DataArray(
        seen.reshape(-1, 1), dims=("time", "point"), coords={"time": frames.times, "point": ["1"]}, name=NAME
    )
    series = _series("point", named, observed, asked_of(forecast))
    # Of areas nothing is known of how their probabilities did.
    return replace(series, products=with_calibration(series.products, calibration_in(forecast)))


def of_areas(forecast: xr.Dataset, frames: Frames, areas: Sequence[Area]) -> Series:
    """Mean rain of areas.

    Args:
        forecast: a stored forecast; of it the pixels around the areas are read, some members at once.
        frames: before it.
        areas: in its projection.

    Raises:
        NotThereError: areas outside of the domain.
    """
    grid = PixelGrid.of(forecast)
    rows, columns = _around(grid, areas)
    window = forecast[[NAME]].isel(y=rows, x=columns)
    shapes = {area.name: area.shape for area in areas}
    options = {"crs": grid.crs, "least_covered": LEAST_COVERED}
    with dask.config.set(scheduler="synchronous"):
        place = window.chunk({"member": _members_at_once(window)}).ssldm.over(shapes, **options).compute()
    observed = xr.DataArray(
        np.empty((0, len(areas)), np.float32),
        dims=("time", "area"), coords={"time": frames.times[:0], "area": place["area"]}, name=NAME,
    )  # fmt: skip
    if frames.fields:
        fields = np.stack([field[rows, columns] for field in frames.fields])
        lead = frames.times - forecast["forecast_reference_time"].values
        as_member = window.isel(member=[0]).drop_vars([NAME, "valid_time", "lead_time"], errors="ignore")
        as_member = as_member.assign_coords(lead_time=lead)
        as_member[NAME] = (("member", "lead_time", "y", "x"), fields[None])
        over = as_member.ssldm.over(shapes, **options)[NAME].isel(member=0)
        observed = xr.DataArray(
            np.round(over.values, _DECIMALS),
            dims=("time", "area"), coords={"time": frames.times, "area": place["area"]}, name=NAME,
        )  # fmt: skip
    return _series("area", place, observed, asked_of(forecast))


def _series(kind: str, place: xr.Dataset, observed: xr.DataArray, asked: ProductsConfig) -> Series:
    place[NAME] = place[NAME].round(_DECIMALS).astype(np.float32)
    place = place.drop_vars(LEAD_BOUNDS, errors="ignore")
    covered = place[NAME].coords.get("covered_share")
    place = place.drop_vars("covered_share", errors="ignore")
    joined = place.ssldm.joined(observed) if asked.periods and observed.sizes["time"] else place
    leads = place["lead_time"]
    known = {
        period: joined.ssldm.accumulation(period)["known_share"].reset_coords(drop=True).sel(lead_time=leads)
        for period in asked.periods
    }
    threshold = min(asked.thresholds, default=0.1)
    probabilities = asked.quantiles or (0.5,)
    return Series(
        kind,
        products_of(joined, asked),
        known,
        place.ssldm.arrival_time(threshold, probabilities=probabilities),
        threshold,
        observed.assign_coords({
            name: values for name, values in place.coords.items() if values.dims == (kind,) and name != kind
        }),
        covered,
    )  # fmt: skip


def _members_at_once(window: xr.Dataset) -> int:
    """How many are in memory at once, as the store's values decode to double precision."""
    return max(_BLOCK_BYTES // (8 * max(window[NAME].isel(member=0).size, 1)), 1)


def _around(grid: PixelGrid, areas: Sequence[Area]) -> tuple[slice, slice]:
    """Rows and columns that areas have a part of, two of each at least."""
    bounds = np.array([area.shape.bounds for area in areas])
    west, south = bounds[:, :2].min(axis=0)
    east, north = bounds[:, 2:].max(axis=0)
    ranges = []
    for first, step, count, ends in (
        (grid.y, grid.dy, grid.height, (south, north)),
        (grid.x, grid.dx, grid.width, (west, east)),
    ):
        low, high = sorted((end - first) / step for end in ends)
        if high <= -0.5 or low >= count - 0.5:
            raise NotThereError("the areas lie outside of the domain")
        start = min(max(int(np.floor(low)), 0), count - 2)
        ranges.append(slice(start, max(min(int(np.ceil(high)) + 2, count), start + 2)))
    return ranges[0], ranges[1]
