"""Series of places as JSON and as CSV: the same values, to six digits."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from ssldm.product_tables import write_table
from ssldm.service.series import Series
from ssldm.service.store import Record
from ssldm.service.times import iso


def point_json(series: Series, about: Record, lat: float, lon: float) -> Record:
    """A series of one point; ``about`` says of which cycle."""
    return {**about, "lat": lat, "lon": lon, **_times(series), **_place(series, 0)}


def areas_json(series: Series, about: Record) -> Record:
    """Series of areas."""
    of = series.products
    areas = []
    for number in range(of.sizes["area"]):
        assert series.covered is not None
        areas.append(
            {
                "name": str(of["area"].values[number]),
                "area_km2": _number(of["area_km2"].values[number]),
                "covered_share": _list(series.covered.isel(area=number)),
                **_times(series),
                **_place(series, number),
            }
        )
    return {**about, "areas": areas}


def csv(series: Series) -> str:
    """A value a row, see `ssldm.product_tables.write_table`: what was observed, and the products."""
    observed = series.observed.rename(time="lead_time")
    reference = series.products["forecast_reference_time"].values
    times = observed["lead_time"].values
    observed = observed.assign_coords(
        lead_time=times - reference, valid_time=("lead_time", times)
    ).assign_attrs(units="mm h-1")
    shares = {f"known_share_{period}": share for period, share in series.known.items()}
    products = series.products.assign(shares)
    return _table(observed.to_dataset(name="observed_rate"), series.kind) + "".join(
        _table(products, series.kind).splitlines(keepends=True)[1:]
    )


def _table(values: xr.Dataset, kind: str) -> str:
    with TemporaryDirectory(prefix="ssldm-") as folder:
        return write_table(values, kind, Path(folder) / "table.csv").read_text()


def _times(series: Series) -> Record:
    leads = series.products["lead_time"].values / np.timedelta64(1, "m")
    return {
        "valid_time": [iso(each) for each in series.products["valid_time"].values],
        "lead_minutes": [float(each) for each in leads],
    }


def _place(series: Series, number: int) -> Record:
    of = series.products.isel({series.kind: number})
    amounts = {}
    for period, share in series.known.items():
        amounts[period] = {
            "quantiles": _by(of, f"amount_quantile_{period}", "quantile"),
            "probability": _by(of, f"amount_probability_{period}", "threshold"),
            "known_share": _list(share.isel({series.kind: number})),
        }
    arrival = series.arrival.isel({series.kind: number})
    reference = of["forecast_reference_time"].values
    observed = series.observed.isel({series.kind: number})
    return {
        "rate": {
            "mean": _list(of["mean_rate"]),
            "quantiles": _by(of, "rate_quantile", "quantile"),
            "probability": _by(of, "rate_probability", "threshold"),
        },
        "amount": amounts,
        "arrival": {
            "threshold": series.threshold,
            "probability": _number(arrival["arrival_probability"].item()),
            "time": {
                f"{p:g}": None if np.isnat(lead) else iso(reference + lead)
                for p, lead in zip(arrival["probability"].values, arrival["arrival_time"].values, strict=True)
            },
        },
        "observed": {"time": [iso(each) for each in observed["time"].values], "rate": _list(observed)},
    }


def _by(of: xr.Dataset, name: str, dimension: str) -> dict[str, list[float | None]]:
    if name not in of:
        return {}
    return {f"{each:g}": _list(of[name].sel({dimension: each})) for each in of[name][dimension].values}


def _list(values: xr.DataArray) -> list[float | None]:
    return [_number(each) for each in values.values]


def _number(value: Any) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
