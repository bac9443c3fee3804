"""A nowcast at points and over areas: another nowcast, of which the same products can be made."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import shapely
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ConfigurationError
from ssldm.products.grid import PixelGrid
from ssldm.products.nowcast import check_shares, fields_of
from ssldm.products.polygons import areas_of
from ssldm.radar.observations import NAME

_DEGREES = "EPSG:4326"
_ROUNDING = 1e-6
# Pixels that are cut at the edge of a polygon at once.
_AT_ONCE = 100_000


def at(forecast: xr.Dataset, *, lat: Any = None, lon: Any = None, x: Any = None, y: Any = None) -> xr.Dataset:
    """The nowcast at a point or at several, of the pixels that these lie in.

    Args:
        forecast: a nowcast with rows and columns.
        lat, lon: in degrees (WGS 84), one number each or as many of either.
        x, y: instead of these, in metres of the forecast's projection.

    Returns:
        ``precipitation_rate (member, lead_time)``, of several points ``(member, lead_time, point)``, with the
        coordinates ``x``, ``y`` of the pixels' middles and, where given, ``lat``, ``lon``.

    Raises:
        ObservationError: no nowcast with a grid, or with degrees no georeference.
        ConfigurationError: neither or both kinds of coordinates, or a point outside of the domain.
    """
    grid = PixelGrid.of(forecast)
    degrees, metres = (_numbers(pair) for pair in ((lon, lat), (x, y)))
    given = {}
    if degrees is not None and metres is None:
        if not (np.abs(degrees[1]) <= 90.0).all():
            raise ConfigurationError(f"expected latitudes from -90 to 90 degrees, found {lat!r:.80}")
        given = {"lat": degrees[1], "lon": degrees[0]}
        metres = grid.transformer_from(_DEGREES).transform(*degrees)
    elif metres is None or degrees is not None:
        raise ConfigurationError("expected lat and lon, or x and y")
    rows, columns = grid.pixels(*(np.atleast_1d(each) for each in metres))
    single = np.ndim(metres[0]) == 0
    places = (
        {"y": int(rows[0]), "x": int(columns[0])}
        if single
        else {"y": xr.DataArray(rows, dims="point"), "x": xr.DataArray(columns, dims="point")}
    )
    rate = fields_of(forecast).isel(places)
    degrees_of = {
        name: ((), float(values)) if single else ("point", np.atleast_1d(values))
        for name, values in given.items()
    }
    return _nowcast(forecast, rate.drop_vars(["lat", "lon"], errors="ignore").assign_coords(degrees_of))


def over(
    forecast: xr.Dataset,
    polygons: Any,
    *,
    crs: Any = None,
    names: str | None = None,
    least_covered: float = 1.0,
) -> xr.Dataset:
    """The nowcast's mean over catchments or other areas, each pixel by the area of it that lies inside.

    A part that is not forecast, or lies outside of the domain, is not made up: where less than
    ``least_covered`` of an area is forecast its mean is NaN, else it is that of what is.

    Args:
        forecast: a nowcast with rows and columns.
        polygons: see `ssldm.products.polygons.areas_of`: a file, GeoJSON, or shapes.
        crs: of the polygons; that which their file says, or longitude and latitude (WGS 84), where None.
        names: the property of the polygons that names them.
        least_covered: share of an area that must be forecast, 0 to 1.

    Returns:
        ``precipitation_rate (member, lead_time, area)`` in mm/h, with the coordinates ``area``, its name;
        ``covered_share (lead_time, area)``, the share of it that is forecast; and ``area_km2``.

    Raises:
        ObservationError: no nowcast with a grid and georeference.
        ConfigurationError: no polygons, or a share that is none.
    """
    least = float(check_shares(least_covered, "a share"))
    grid, rate = PixelGrid.of(forecast), fields_of(forecast)
    areas = areas_of(polygons, grid, crs=crs, names=names)
    weights = area_weights(grid, [area.shape for area in areas])
    used = np.unique(weights.indices)
    sizes = np.array([area.shape.area for area in areas])
    if rate.chunks:
        rate = rate.chunk({"y": -1, "x": -1})
    total, covered = xr.apply_ufunc(
        lambda block: _sums(block, weights[:, used], used),
        rate,
        input_core_dims=[["y", "x"]],
        output_core_dims=[["area"], ["area"]],
        dask="parallelized",
        output_dtypes=[np.float64, np.float64],
        dask_gufunc_kwargs={"output_sizes": {"area": len(areas)}},
    )
    share = covered / xr.DataArray(sizes, dims="area")
    mean = (total / covered.where(covered > 0.0)).where(share >= least - _ROUNDING)
    mean = mean.astype(rate.dtype).drop_vars(["y", "x", "lat", "lon"], errors="ignore").assign_coords(
        area=[area.name for area in areas],
        covered_share=share.min("member").clip(max=1.0).assign_attrs(
            units="1", long_name="share of the area that is forecast"
        ),
        area_km2=("area", sizes / 1e6, {"units": "km2", "long_name": "size of the area"}),
    )  # fmt: skip
    attributes = {key: value for key, value in rate.attrs.items() if key != "grid_mapping"}
    methods = " ".join(filter(None, (attributes.get("cell_methods"), "area: mean")))
    return _nowcast(forecast, mean.rename(NAME).assign_attrs(attributes | {"cell_methods": methods}))


def area_weights(grid: PixelGrid, shapes: Sequence[shapely.Geometry]) -> scipy.sparse.csr_array:
    """Square metres ``(area, pixel)`` of each pixel, row by row, that lie in each shape."""
    rows, columns, values = [], [], []
    for number, shape in enumerate(shapes):
        for pixels, inside in _inside(grid, shape):
            rows.append(np.full(len(pixels), number))
            columns.append(pixels)
            values.append(inside)
    size = len(shapes), grid.height * grid.width
    if not rows:
        return scipy.sparse.csr_array(size)
    places = np.concatenate(rows), np.concatenate(columns)
    return scipy.sparse.csr_array((np.concatenate(values), places), shape=size)


def _inside(
    grid: PixelGrid, shape: shapely.Geometry
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Numbers of the pixels that a shape has a part of, and square metres of that."""
    west, south, east, north = shape.bounds
    ranges = []
    for first, step, count, ends in (
        (grid.y, grid.dy, grid.height, (south, north)),
        (grid.x, grid.dx, grid.width, (west, east)),
    ):
        low, high = sorted((end - first) / step for end in ends)
        ranges.append(np.arange(max(int(np.floor(low)), 0), min(int(np.ceil(high)) + 1, count)))
    rows, columns = (each.ravel() for each in np.meshgrid(*ranges, indexing="ij"))
    shapely.prepare(shape)
    for start in range(0, len(rows), _AT_ONCE):
        row, column = rows[start : start + _AT_ONCE], columns[start : start + _AT_ONCE]
        y, x = grid.y + row * grid.dy, grid.x + column * grid.dx
        half_y, half_x = abs(grid.dy) / 2.0, abs(grid.dx) / 2.0
        boxes = shapely.box(x - half_x, y - half_y, x + half_x, y + half_y)
        inside = np.where(shapely.contains(shape, boxes), 4.0 * half_x * half_y, 0.0)
        edge = (inside == 0.0) & shapely.intersects(shape, boxes)
        inside[edge] = shapely.area(shapely.intersection(shape, boxes[edge]))
        some = inside > 0.0
        yield (row * grid.width + column)[some], inside[some]


def _sums(
    rate: NDArray[np.floating], weights: scipy.sparse.csr_array, used: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rain times square metres, and the square metres that are known, ``(…, area)``.

    Args:
        rate: ``(…, y, x)``.
        weights: square metres ``(area, pixel)`` of the pixels that are used.
        used: numbers of these, row by row.
    """
    total, covered = (np.empty((*rate.shape[:-2], weights.shape[0])) for _ in range(2))
    # One member after the other, and of it what lies in any area.
    for member in np.ndindex(rate.shape[:1]):
        inside = rate[member].reshape(*rate.shape[1:-2], -1)[..., used].astype(np.float64)
        known = np.isfinite(inside)
        total[member] = np.where(known, inside, 0.0) @ weights.T
        covered[member] = known @ weights.T
    return total, covered


def _numbers(pair: tuple[Any, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Two coordinates of one shape; None where neither is given."""
    if pair[0] is None and pair[1] is None:
        return None
    try:
        one, other = (np.asarray(each, np.float64) for each in pair)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"expected numbers, found {pair!r:.80}") from error
    if one.shape != other.shape or one.ndim > 1 or one.size == 0 or not np.isfinite([one, other]).all():
        raise ConfigurationError(f"expected as many finite numbers of either, found {pair!r:.80}")
    return one, other


def _nowcast(forecast: xr.Dataset, rate: xr.DataArray) -> xr.Dataset:
    """Rates as a nowcast with what else the forecast says but for its rows and columns."""
    kept = {
        name: data
        for name, data in forecast.variables.items()
        if name not in rate.coords and name != NAME and not {"y", "x"} & set(data.dims)
    }
    coordinates = {name: kept[name] for name in kept if name in forecast.coords and name not in ("y", "x")}
    rest = {name: kept[name] for name in kept if name not in forecast.coords}
    return xr.Dataset({NAME: rate, **rest}, coords=coordinates, attrs=forecast.attrs)
