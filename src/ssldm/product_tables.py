"""Points that products are asked for at, and products of points and areas: tables in CSV."""

from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ssldm.atomic import replacing
from ssldm.errors import ConfigurationError
from ssldm.forecast.encoding import LEAD_BOUNDS


def write_table(products: xr.Dataset, place: str, path: Path) -> Path:
    """Write products of points or areas as CSV, a value a row.

    The columns: the place and what is known of it, ``valid_time`` (ISO 8601, UTC), ``lead_minutes``,
    ``product``, ``quantile`` or ``threshold``, ``value`` and ``units``; a value that is not known is empty.

    Args:
        products: see `products_of`.
        place: "point" or "area", their dimension.
        path: of the file.
    """
    about = [
        str(name)
        for name, values in products.coords.items()
        if place in values.dims and set(values.dims) <= {place, "lead_time"} and name != place
    ]
    parts = []
    for name, part in products.drop_vars(LEAD_BOUNDS, errors="ignore").data_vars.items():
        table = part.to_dataframe("value").reset_index()
        parts.append(table.assign(product=str(name), units=part.attrs.get("units", "")))
    whole = pd.concat(parts, ignore_index=True)
    whole["valid_time"] = whole["valid_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    whole["lead_minutes"] = whole["lead_time"].dt.total_seconds() / 60.0
    columns = [
        place,
        *about,
        "valid_time",
        "lead_minutes",
        "product",
        "quantile",
        "threshold",
        "value",
        "units",
    ]
    with replacing(path) as aside:
        whole.reindex(columns=columns).to_csv(aside, index=False, float_format="%.6g")
    return path


def read_points(path: Path) -> dict[str, Any]:
    """Points of a CSV file with columns ``lat`` and ``lon``, or ``x`` and ``y``, and ``name`` if it has that.

    Returns:
        The arguments of `ssldm.products.places.at`, and ``names``.

    Raises:
        ConfigurationError: no such file, or others.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: expected points in CSV ({str(error).splitlines()[0]})") from error
    for pair in (("lat", "lon"), ("x", "y")):
        if set(pair) <= set(table.columns):
            if table.empty or not all(pd.api.types.is_numeric_dtype(table[name]) for name in pair):
                raise ConfigurationError(f"{path}: expected numbers as {pair[0]} and {pair[1]}")
            names = table.get("name", pd.Series(range(1, len(table) + 1))).astype(str)
            return {**{name: table[name].to_numpy(float) for name in pair}, "names": list(names)}
    raise ConfigurationError(
        f"{path}: expected columns lat and lon, or x and y, found {', '.join(table.columns)}"
    )
