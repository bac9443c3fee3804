"""Products of a forecast in files: NetCDF, Zarr, GeoTIFF, and tables of points and areas."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ssldm.atomic import replacing
from ssldm.errors import ObservationError
from ssldm.forecast.dataset import open_nowcast, write_nowcast
from ssldm.forecast.encoding import LEAD_BOUNDS, netcdf_encoding, placed
from ssldm.hdf5_output import replacing_hdf5
from ssldm.product_tables import read_points, write_table
from ssldm.products import accessor  # noqa: F401  # forecast.ssldm
from ssldm.products.grid import PixelGrid
from ssldm.products.nowcast import fields_of
from ssldm.products.probability import amount_probability
from ssldm.products.summary import quantile
from ssldm.products_config import Format, ProductsConfig

# Of the members' rates that are in memory at once: rows of all members and lead times.
_BLOCK_BYTES = 2**26
_COMPRESSED = {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": np.float32(np.nan)}


def write_asked(
    forecast: xr.Dataset, asked: ProductsConfig, folder: Path, observations: xr.DataArray | None = None
) -> list[Path]:
    """Write what is asked for of a nowcast of pixels: maps, and tables of points and catchments.

    Args:
        forecast: the nowcast.
        asked: which products.
        folder: to write to.
        observations: ``(time, y, x)`` in mm/h, joined in front where amounts of periods are asked for.

    Returns:
        What was written.

    Raises:
        ObservationError, ConfigurationError: see `ssldm.products`, `read_points`, `write_products`.
    """
    places = read_points(asked.points) if asked.points else None
    opened = in_blocks(forecast)
    if observations is not None and asked.periods:
        since = forecast["forecast_reference_time"].values - asked.longest
        opened = in_blocks(opened.ssldm.joined(observations.sel(time=slice(since, None))))
    written = write_products(products_of(opened, asked), folder, asked.format)
    if places is not None:
        names = places.pop("names")
        at = _loaded(opened.ssldm.at(**places).assign_coords(point=names))
        written.append(write_table(products_of(at, asked), "point", folder / "points.csv"))
    if asked.polygons is not None:
        over = _loaded(opened.ssldm.over(asked.polygons, least_covered=asked.least_covered))
        written.append(write_table(products_of(over, asked), "area", folder / "areas.csv"))
    return written


def write_without_members(
    forecast: xr.Dataset, observations: xr.DataArray, asked: ProductsConfig, folder: Path
) -> list[Path]:
    """As `write_asked`, of members that are made one after the other and not kept.

    Until the products are there, they lie in a store beside them.

    Args:
        forecast: a nowcast whose members are made when they are read.
        observations, asked, folder: see `write_asked`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".members-", dir=folder) as aside:
        write_nowcast(forecast, Path(aside) / "members.zarr")
        stored = open_nowcast(Path(aside) / "members.zarr")
        return write_asked(stored, asked, folder, observations)


def products_of(forecast: xr.Dataset, asked: ProductsConfig, *, matched: bool = True) -> xr.Dataset:
    """Products of a nowcast of pixels, points or areas, lazily where it is.

    Args:
        forecast: a nowcast; of one with observations joined in front, products of its lead times above 0.
        asked: which.
        matched: whether with the probability-matched mean.

    Returns:
        ``mean_rate``, of pixels ``matched_mean_rate``, ``rate_quantile (quantile, …)`` and
        ``rate_probability (threshold, …)``; of each period ``amount_quantile_60min`` and
        ``amount_probability_60min (threshold, …)``.

    Raises:
        ObservationError, ConfigurationError: see `ssldm.products`.
    """
    ahead = forecast["lead_time"] > np.timedelta64(0, "ns")
    of = forecast.isel(lead_time=ahead.values).ssldm
    found = {"mean_rate": of.mean()}
    if matched and {"y", "x"} <= set(found["mean_rate"].dims):
        found["matched_mean_rate"] = of.probability_matched_mean()
    quantiles, thresholds = list(asked.quantiles), list(asked.thresholds)
    if quantiles:
        found["rate_quantile"] = of.quantile(quantiles)
    if thresholds:
        found["rate_probability"] = _stacked(thresholds, of.exceedance_probability)
    for period in asked.periods:
        amounts = forecast.ssldm.accumulation(period)
        if quantiles:
            found[f"amount_quantile_{period}"] = quantile(amounts, quantiles)
        if thresholds:
            found[f"amount_probability_{period}"] = _stacked(thresholds, partial(amount_probability, amounts))
    leads = found["mean_rate"]["lead_time"]
    alike = {
        name: part.drop_vars("known_share", errors="ignore").sel(lead_time=leads)
        for name, part in found.items()
    }
    # The checker knows no cell methods of standard names.
    methods = alike["mean_rate"].attrs.pop("cell_methods").removesuffix("realization: mean").strip()
    alike["mean_rate"].attrs |= {"long_name": "ensemble mean of the rain rate"}
    alike["mean_rate"].attrs |= {"cell_methods": methods} if methods else {}
    if LEAD_BOUNDS in forecast:
        alike[LEAD_BOUNDS] = forecast[LEAD_BOUNDS].sel(lead_time=leads)
    products = xr.Dataset(alike, attrs={**forecast.attrs, "title": "Products of an ensemble nowcast"})
    words = {"threshold": "mm/h, or mm in the period", "quantile": "share of the members below"}
    for name in words.keys() & products.coords.keys():
        products[name].attrs = {"units": "1", "long_name": words[name]}
    return products


def in_blocks(forecast: xr.Dataset) -> xr.Dataset:
    """A nowcast of pixels, such that products are made of some rows after the others."""
    rate = fields_of(forecast)
    row = rate.nbytes // max(rate.sizes["y"], 1)
    return forecast.chunk({"y": max(_BLOCK_BYTES // max(row, 1), 1), "member": -1, "lead_time": -1, "x": -1})


def write_products(products: xr.Dataset, folder: Path, form: Format) -> list[Path]:
    """Write products of pixels: one NetCDF file or Zarr store, or a GeoTIFF a product and lead time.

    Returns:
        What was written.

    Raises:
        ObservationError: products without georeference, for GeoTIFF.
        OutputError, OSError: what is there is not to be replaced, or cannot be written.
    """
    if form == "cog":
        return [write_geotiff(name, part, products, folder) for name, part in _maps(products)]
    maps = [str(name) for name, part in products.data_vars.items() if "x" in part.dims]
    whole = placed(products, maps)
    for name in {"quantile", "threshold"} & set(whole.coords):
        whole[name].encoding = {"_FillValue": None}
    path = folder / f"products.{form}"
    if form == "zarr":
        from ssldm.zarr_output import replacing_zarr

        with _one_after_the_other(), replacing_zarr(path, _is_products) as store:
            whole.to_zarr(store, zarr_format=2, consolidated=True)
        return [path]
    folder.mkdir(parents=True, exist_ok=True)
    encoding = netcdf_encoding(whole) | dict.fromkeys(maps, _COMPRESSED)
    with _one_after_the_other(), replacing_hdf5(path) as file:
        whole.to_netcdf(file, engine="h5netcdf", encoding=encoding)
    return [path]


def _one_after_the_other() -> Any:
    """Blocks are computed one after the other, so that not many are in memory."""
    import dask

    return dask.config.set(scheduler="synchronous")


def _loaded(places: xr.Dataset) -> xr.Dataset:
    """The nowcast of some places, in memory: all of their products are made of it."""
    with _one_after_the_other():
        return places.load()


def _stacked(thresholds: Sequence[float], make: Any) -> xr.DataArray:
    parts = [make(least) for least in thresholds]
    stacked = xr.concat(parts, pd.Index([float(least) for least in thresholds], name="threshold"))
    words = parts[0].attrs["long_name"].replace(f"{thresholds[0]:g} mm", "the threshold in mm", 1)
    named: xr.DataArray = stacked.assign_attrs(parts[0].attrs | {"long_name": words})
    return named


def _maps(products: xr.Dataset) -> Iterator[tuple[str, xr.DataArray]]:
    """Names and fields ``(band, y, x)`` of each product and lead time."""
    for name, part in products.data_vars.items():
        if "x" not in part.dims:
            continue
        with _one_after_the_other():
            whole = part.compute()
        for lead in range(part.sizes["lead_time"]):
            field = whole.isel(lead_time=lead)
            yield str(name), field if field.ndim == 3 else field.expand_dims("band")


def write_geotiff(name: str, field: xr.DataArray, products: xr.Dataset, folder: Path) -> Path:
    """Write a product of one lead time as a cloud-optimised GeoTIFF, in a folder of its name.

    Args:
        name: of the product.
        field: ``(band, y, x)`` with its ``valid_time``.
        products: what it is of; gives the reference time and the source.
        folder: to write to.

    Returns:
        The file.

    Raises:
        ObservationError: products without georeference.
        OSError: it cannot be written.
    """
    import rasterio
    from rasterio.transform import Affine

    grid = PixelGrid.of_fields(field)
    if grid.crs is None:
        raise ObservationError("expected a forecast with a map projection for GeoTIFF, found none")
    values = field.transpose(..., "y", "x").values.astype(np.float32)
    # First row in the north, first column in the west.
    values = values[:, :: -1 if grid.dy > 0 else 1, :: -1 if grid.dx < 0 else 1]
    north = max(grid.y, grid.y + grid.dy * (grid.height - 1)) + abs(grid.dy) / 2
    west = min(grid.x, grid.x + grid.dx * (grid.width - 1)) - abs(grid.dx) / 2
    valid = pd.Timestamp(field["valid_time"].item())
    path = folder / name / f"{name}_{valid:%Y%m%dT%H%M%SZ}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside, rasterio.open(
        aside, "w", driver="COG", width=grid.width, height=grid.height, count=len(values), dtype="float32",
        crs=grid.crs.to_wkt(), transform=Affine(abs(grid.dx), 0.0, west, 0.0, -abs(grid.dy), north),
        nodata=np.nan, compress="deflate", predictor=3,
    ) as file:  # fmt: skip
        file.write(values)
        file.update_tags(**_tags(field, products, valid))
        for number, words in enumerate(_bands(field), start=1):
            file.set_band_description(number, words)
    return path


def _tags(field: xr.DataArray, products: xr.Dataset, valid: pd.Timestamp) -> Mapping[str, str]:
    reference = pd.Timestamp(products["forecast_reference_time"].item())
    return {
        "TIFFTAG_DATETIME": f"{valid:%Y:%m:%d %H:%M:%S}",
        "valid_time": f"{valid:%Y-%m-%dT%H:%M:%SZ}",
        "forecast_reference_time": f"{reference:%Y-%m-%dT%H:%M:%SZ}",
        "long_name": str(field.attrs.get("long_name", "")),
        "units": str(field.attrs.get("units", "")),
        "source": str(products.attrs.get("source", "")),
    }


def _bands(field: xr.DataArray) -> list[str]:
    for name in ("quantile", "threshold"):
        if name in field.dims:
            return [f"{name} {value:g}" for value in field[name].values]
    return [str(field.attrs.get("long_name", ""))]


def _is_products(folder: Path) -> bool:
    """Whether a folder holds nothing, or a store of products."""
    if not any(folder.iterdir()):
        return True
    try:
        with xr.open_zarr(folder, chunks=None) as store:
            return "mean_rate" in store
    except Exception:  # noqa: BLE001  # whatever it is, it is no store of products
        return False
