"""GeoTIFF of any service, as far as the file says what it holds: rain rate, amount or reflectivity."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.geotiff_tags import Statements, period_of, statements_of, time_of
from ssldm.radar.formats.protocol import ReadOptions, check_frame
from ssldm.radar.formats.stored_codes import check_code, holds
from ssldm.radar.from_xarray import observations_of
from ssldm.radar.reference_system import is_geographic
from ssldm.radar.units import ZRRelation, quantity_of

NAME = "geotiff"
MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# ODIM's quantities have units of their own; GeoTIFFs made of ODIM files name the quantity alone.
_ODIM_UNITS = {"RATE": "mm h-1", "ACRR": "mm", "DBZH": "dBZ"}
_RAIN_NAME = re.compile(r"rain|precip|reflectivity|dbz", re.IGNORECASE)
_STANDARD_NAMES = {
    "rate": "rainfall_rate",
    "amount": "precipitation_amount",
    "reflectivity": "equivalent_reflectivity_factor",
}


def recognise(_: Path, head: bytes) -> bool:
    """A TIFF image, of either byte order and size."""
    return head.startswith(MAGIC)


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """One frame, by what the file says: unit or ODIM quantity, scale, codes, time, projection.

    Nothing is guessed: a file that leaves one of them open is refused, and says so. Stored numbers of
    ``undetect`` are dry; those of nodata, a mask and NaN are unobserved.
    """
    import rasterio

    with rasterio.open(path, driver="GTiff") as file:
        band, said = _rain_band(file)
        unit, standard_name = _unit(said)
        check_frame(file.shape)
        time = time_of(said, path)
        values, dry = _values(file, band, said)
        axes, grid_mapping = _axes(file)
    reversed_axes = tuple(slice(None, None, -1 if down else 1) for down in (axes[0][1], axes[1][1]))
    dataset = xr.Dataset(
        {
            "precipitation": (
                ("time", *(axis.name for axis, _ in axes)),
                values[None],
                {"units": unit, "standard_name": standard_name},
            )
        },
        coords={"time": [time], **{str(axis.name): axis for axis, _ in axes}},
        attrs={"title": said.first("prodname", "title") or f"GeoTIFF {said.quantity} in {unit}"},
    )
    if grid_mapping:
        dataset["crs"] = ((), 0, {"crs_wkt": grid_mapping})
        dataset["precipitation"].attrs["grid_mapping"] = "crs"
    extra: dict[str, Any] = {}
    if (period := period_of(said, time)) is not None and standard_name == _STANDARD_NAMES["amount"]:
        dataset["start_time"] = time - period
        extra = {"accumulation_minutes": float(period / np.timedelta64(1, "m"))}
    data = observations_of(dataset, _with_stated_relation(options, said))
    rate = np.where(dry[reversed_axes][None], np.float32(0.0), data.values)
    yield data.copy(data=rate).assign_attrs(extra)


def _rain_band(file: Any) -> tuple[int, Statements]:
    """The one band of rain, and what is said of it."""
    from rasterio.enums import ColorInterp

    bands = [band for band in file.indexes if file.colorinterp[band - 1] != ColorInterp.alpha]
    said = {band: statements_of(file, band, alone=len(bands) == 1) for band in bands}
    rain = bands if len(bands) == 1 else [band for band in bands if _is_rain(said[band])]
    if len(rain) != 1:
        found = ", ".join(f"{band} ({said[band].quantity or said[band].unit or '?'})" for band in bands)
        raise ObservationError(f"expected one band of rain or reflectivity, found bands {found}")
    return rain[0], said[rain[0]]


def _is_rain(said: Statements) -> bool:
    return (
        said.quantity in _ODIM_UNITS
        or bool(_RAIN_NAME.search(said.quantity))
        or quantity_of(said.unit) is not None
    )


def _unit(said: Statements) -> tuple[str, str]:
    """The unit of a band, and the CF standard name of what has such."""
    name = said.first("standard_name")
    if name and not _RAIN_NAME.search(name):
        raise ObservationError(f"expected a rain rate, an amount or a reflectivity, found {name}")
    unit = said.unit or _ODIM_UNITS.get(said.quantity, "")
    if not unit:
        raise ObservationError(
            "expected the unit of the band (its unit type, a tag units, or a quantity of "
            f"{', '.join(_ODIM_UNITS)}), found {said.quantity or 'nothing'}"
        )
    if (quantity := quantity_of(unit)) is None:
        raise ObservationError(
            f"expected units of a rate (mm h-1), an amount (mm) or reflectivity (dBZ), found {unit!r}"
        )
    return unit, _STANDARD_NAMES[quantity.kind]


def _with_stated_relation(options: ReadOptions, said: Statements) -> ReadOptions:
    if options.zr is not None or not (said.first("zr_a") and said.first("zr_b")):
        return options
    a, b = (said.number(name, default=np.nan) for name in ("zr_a", "zr_b"))
    if not (0.0 < a < np.inf and 0.0 < b < np.inf):
        raise ObservationError(
            f"expected two positive numbers a, b of Z = a R^b as tags zr_a and zr_b, found {a:g} and {b:g}"
        )
    return options.model_copy(update={"zr": ZRRelation(a=a, b=b)})


def _values(file: Any, band: int, said: Statements) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values, NaN where unobserved or dry, and where it is dry; in the order of the file."""
    from rasterio.enums import MaskFlags

    stored = file.read(band)
    if stored.dtype.kind not in "iuf":
        raise ObservationError(f"expected numbers, found {stored.dtype}")
    missing = np.zeros(stored.shape, bool)
    for code in said.missing_codes():
        check_code("nodata or a fill value", code, stored.dtype)
        missing |= holds(stored, code)
    undetect = said.first("undetect")
    dry = np.zeros(stored.shape, bool)
    if undetect:
        code = said.number("undetect", default=np.nan)
        check_code("the tag undetect", code, stored.dtype)
        dry = holds(stored, code)
    if (missing & dry).any():
        raise ObservationError(
            f"expected codes of their own for nodata and undetect, found {undetect} for both: "
            "dry and unobserved pixels cannot be told apart"
        )
    if {MaskFlags.per_dataset, MaskFlags.alpha} & set(file.mask_flag_enums[band - 1]):
        missing |= file.read_masks(band) == 0
    gain, offset = said.gain_and_offset()
    values = stored.astype(np.float64 if stored.dtype.itemsize > 4 else np.float32) * gain + offset
    values[missing | dry] = np.nan
    return values, dry & ~missing


def _axes(file: Any) -> tuple[list[tuple[xr.DataArray, bool]], str | None]:
    """The axes y and x, each with whether the file runs it the other way, and the projection of metres."""
    transform, crs = file.transform, file.crs
    if crs is None or transform.is_identity:
        raise ObservationError("expected a georeferenced image, found one without projection or place")
    geographic = is_geographic(str(crs.to_wkt()))
    if transform.b != 0.0 or transform.d != 0.0:
        raise ObservationError("expected rows that run east and columns that run north, found a turned image")
    height, width = file.shape
    y = transform.f + transform.e * (np.arange(height) + 0.5)
    x = transform.c + transform.a * (np.arange(width) + 0.5)
    if geographic:
        names = ("latitude", "longitude")
        attributes = [
            {"standard_name": name, "units": units}
            for name, units in zip(names, ("degrees_north", "degrees_east"), strict=True)
        ]
        wkt = None
    else:
        unit, factor = crs.linear_units_factor
        if factor != 1.0:
            raise ObservationError(f"expected a projection in metres, found {unit}")
        names = ("y", "x")
        attributes = [{"standard_name": f"projection_{n}_coordinate", "units": "m"} for n in names]
        wkt = str(crs.to_wkt())
    axes = [
        (xr.DataArray(values, dims=name, name=name, attrs=attrs), bool(turned))
        for values, name, attrs, turned in zip(
            (y, x), names, attributes, (transform.e > 0.0, transform.a < 0.0), strict=True
        )
    ]
    return axes, wkt
