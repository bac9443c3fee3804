"""Observations on another grid: cropped, coarsened, reprojected, thinned in time."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.config import Config
from ssldm.errors import ConfigurationError, ObservationError
from ssldm.radar.grid import Grid, wkt_of
from ssldm.radar.observations import observations, pixel_size

if TYPE_CHECKING:
    from rasterio.transform import Affine

_NANOSECONDS_A_SECOND = 1_000_000_000
_SECONDS_A_DAY = 86_400


class Regridding(Config):
    """What to do with every frame; the steps are taken in this order.

    Attributes:
        step_minutes: keep only times that are a multiple of it since midnight, UTC.
        crop: west, south, east, north, in degrees where the data are georeferenced, else in metres; whole
            pixels whose centres lie inside.
        crs: projection to bring the data to (PROJ string or EPSG code).
        resolution: pixel size in metres; a whole multiple of the present one is a block mean, else, or with
            ``crs``, each new pixel is the area mean of the old ones.
    """

    step_minutes: float | None = None
    crop: tuple[float, float, float, float] | None = None
    crs: str | None = None
    resolution: float | None = None

    def __call__(self, data: xr.DataArray) -> xr.DataArray:
        """The observations on the grid and at the times asked for; possibly none."""
        if self.step_minutes is not None:
            data = thin(data, self.step_minutes)
        if self.crop is not None:
            data = crop(data, self.crop)
        if self.resolution is not None:
            _check_coarsest(data, self.resolution)
        if self.crs is not None:
            return reproject(data, self.crs, self.resolution or pixel_size(data))
        if self.resolution is not None:
            return resample(data, self.resolution)
        return data


def thin(data: xr.DataArray, step_minutes: float) -> xr.DataArray:
    """The frames whose time since midnight, UTC, is a multiple of the step."""
    seconds = data["time"].values.astype("datetime64[ns]").astype(np.int64) // _NANOSECONDS_A_SECOND
    return data.isel(time=np.flatnonzero(seconds % _SECONDS_A_DAY % round(step_minutes * 60) == 0))


def crop(data: xr.DataArray, box: tuple[float, float, float, float]) -> xr.DataArray:
    """The smallest rectangle of pixels around all centres between west, south, east and north.

    Raises:
        ObservationError: no pixel lies inside.
    """
    west, south, east, north = box
    x, y = data["x"].values, data["y"].values
    if (projection := wkt_of(data)) is not None:
        from pyproj import CRS, Transformer

        crs = CRS.from_wkt(projection)
        to_plane = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        west, south, east, north = to_plane.transform_bounds(west, south, east, north)
    columns = np.flatnonzero((x >= west) & (x <= east))
    rows = np.flatnonzero((y >= south) & (y <= north))
    if not len(columns) or not len(rows):
        raise ObservationError(f"expected pixels inside {box}, found none")
    return data.isel(y=slice(rows[0], rows[-1] + 1), x=slice(columns[0], columns[-1] + 1))


def coarsen(rate: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Block means ``(..., h, w)`` → ``(..., h // factor, w // factor)``; NaN where any pixel is.

    Raises:
        ValueError: neither a whole number nor half of one.
    """
    if factor == 1:
        return np.asarray(rate, dtype=np.float32)
    if factor % 0.5:
        raise ValueError(f"expected a multiple of 0.5, found {factor:g}")
    if factor % 1:  # 1.5: means over 3×3 quarters of pixels
        return coarsen(rate.repeat(2, axis=-2).repeat(2, axis=-1), 2 * factor)
    factor = int(factor)
    height, width = (n // factor * factor for n in rate.shape[-2:])
    blocks = rate[..., :height, :width].reshape(
        *rate.shape[:-2], height // factor, factor, width // factor, factor
    )
    return np.asarray(blocks.mean(axis=(-3, -1)), dtype=np.float32)


def resample(data: xr.DataArray, resolution: float) -> xr.DataArray:
    """Pixels of ``resolution`` metres in the same projection.

    Raises:
        ConfigurationError: pixels smaller than the present ones.
    """
    present = pixel_size(data)
    factor = round(resolution / present)
    if factor < 1:
        raise ConfigurationError(f"expected a resolution of at least {present:g} m, found {resolution:g} m")
    # MRMS and FMI pixels are a per cent off the round number that everybody calls them by.
    if abs(factor * present / resolution - 1.0) < 0.02 and _square(data):
        axes = {
            axis: data[axis].values[: data.sizes[axis] // factor * factor].reshape(-1, factor).mean(axis=1)
            for axis in "yx"
        }
        return _on(data, Grid(axes["x"], axes["y"], wkt_of(data)), [coarsen(v, factor) for v in data.values])
    return reproject(data, None, resolution)


def reproject(data: xr.DataArray, crs: str | None, resolution: float) -> xr.DataArray:
    """Area means on square pixels of ``resolution`` metres in ``crs``, None for the present projection.

    A new pixel is unobserved unless all of it was observed.

    Raises:
        ObservationError: data without a projection.
        ConfigurationError: not a projection in metres.
    """
    from rasterio.warp import Resampling, aligned_target, calculate_default_transform
    from rasterio.warp import reproject as warp

    present = wkt_of(data)
    if present is None:
        raise ObservationError("expected georeferenced data to reproject, found a grid without projection")
    target = present if crs is None else _projected(crs)
    source, (height, width) = _transform(data), data.shape[1:]
    left, top = source * (0, 0)
    right, bottom = source * (width, height)
    transform, columns, rows = calculate_default_transform(
        present, target, width, height, left, bottom, right, top, resolution=resolution
    )
    # Grids of one resolution and projection shall share their pixels.
    transform, columns, rows = aligned_target(transform, columns, rows, resolution)
    # A rim of unobserved pixels, or the average would take what lies outside for more of the same.
    rim = int(np.ceil(resolution / pixel_size(data))) + 1
    source = source @ source.translation(-rim, -rim)
    frames = []
    for values in data.values:
        padded = np.pad(values, rim, constant_values=np.nan)
        parts = []
        for part in (np.nan_to_num(padded, nan=0.0), np.isfinite(padded).astype(np.float32)):
            mean = np.zeros((rows, columns), np.float32)
            warp(
                part,
                mean,
                src_transform=source,
                src_crs=present,
                dst_transform=transform,
                dst_crs=target,
                resampling=Resampling.average,
            )
            parts.append(mean)
        rate, observed = parts
        frames.append(np.where(observed > 1.0 - 1e-6, rate, np.float32(np.nan)))
    grid = Grid(
        transform.c + transform.a * (np.arange(columns) + 0.5),
        transform.f + transform.e * (np.arange(rows) + 0.5),
        target,
    )
    return _on(data, grid, frames)


def _check_coarsest(data: xr.DataArray, resolution: float) -> None:
    if resolution > (extent := pixel_size(data) * min(data.shape[1:])):
        raise ConfigurationError(
            f"expected a resolution of at most {extent:g} m, the shorter side of the domain, "
            f"found {resolution:g} m"
        )


def _on(data: xr.DataArray, grid: Grid, frames: Any) -> xr.DataArray:
    values = np.stack(frames) if len(frames) else np.empty((0, *grid.shape), np.float32)
    return observations(values, list(data["time"].values), grid, data.attrs)


def _square(data: xr.DataArray) -> bool:
    dy, dx = (abs(float(data[axis][1] - data[axis][0])) if data.sizes[axis] > 1 else 1.0 for axis in "yx")
    return abs(dy / dx - 1.0) < 0.02


def _projected(crs: str) -> str:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        found = CRS.from_user_input(crs)
    except CRSError as error:
        raise ConfigurationError(f"expected a PROJ string or an EPSG code, found {crs!r}") from error
    if not found.is_projected:
        raise ConfigurationError(f"expected a projection in metres, found {crs!r}")
    return str(found.to_wkt())


def _transform(data: xr.DataArray) -> "Affine":
    from rasterio.transform import from_origin

    x, y = data["x"].values, data["y"].values
    dx, dy = (x[-1] - x[0]) / (len(x) - 1), (y[0] - y[-1]) / (len(y) - 1)
    return from_origin(x[0] - dx / 2.0, y[0] + dy / 2.0, dx, dy)
