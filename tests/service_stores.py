"""Stores of a service with a small simulated domain, without a network."""

from typing import Any

import numpy as np
import xarray as xr
from forecasts import KNMI

from ssldm.config_file import parsed
from ssldm.forecast.dataset import nowcast_dataset
from ssldm.product_files import products_of
from ssldm.products_config import ProductsConfig
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.simulation import simulate
from ssldm.service.config import ServiceConfig
from ssldm.service.places import bounds_of
from ssldm.service.store import Store
from ssldm.service.times import Clock, iso, stamp_of

STEP = np.timedelta64(5, "m").astype("timedelta64[ns]")
START = np.datetime64("2010-08-26T03:00", "ns")
FRAMES, MEMBERS, LEADS = 16, 6, 8
SHAPE = 96, 128
THRESHOLDS, QUANTILES, PERIOD = (0.5, 2.0, 5.0), (0.1, 0.5, 0.9), "60min"
DOMAIN, EMPTY = "nl", "empty"
LAST = START + (FRAMES - 1) * STEP


def config_of(**changes: Any) -> ServiceConfig:
    """Two domains, of which one has nothing yet."""
    given = {
        "domains": [
            {"name": DOMAIN, "title": "The Netherlands", "watch": ["x"], "members": MEMBERS},
            {"name": EMPTY, "watch": ["x"]},
        ],
        "thresholds": list(THRESHOLDS),
        "quantiles": list(QUANTILES),
        "periods": [PERIOD],
        **changes,
    }
    return parsed(ServiceConfig, given)


def clock_after(minutes: float = 1.0) -> Clock:
    """A clock that has stood still since so long after the last frame."""
    now = LAST + np.timedelta64(round(minutes * 60), "s")
    return Clock(np.datetime64("now", "ns"), now, 1e-6)


def frames_of(shape: tuple[int, int] = SHAPE, crs: str | None = KNMI) -> xr.DataArray:
    """A simulated storm over the Netherlands; a corner is not observed."""
    height, width = shape
    grid = Grid.from_edges(
        shape, west=60e3, east=60e3 + width * 1e3, south=-4.0e6, north=-4.0e6 + height * 1e3, crs=crs
    )
    rate = simulate(FRAMES, shape, seed=3).values.copy()
    rate[:, :10, :15] = np.nan
    attributes = {"product": "simulated", "accumulation_minutes": 5}
    return observations(rate, list(START + np.arange(FRAMES) * STEP), grid, attributes)


def forecast_of(frames: xr.DataArray) -> xr.Dataset:
    """Members that are the last frame, moved and made stronger, and the maps of them."""
    last = frames.values[-1]
    rate = np.stack(
        [
            [
                (0.5 + 0.25 * member) * np.roll(last, lead * (member - 2), axis=1)
                for lead in range(1, LEADS + 1)
            ]
            for member in range(MEMBERS)
        ]
    ).astype(np.float32)
    forecast = nowcast_dataset(rate, frames, STEP, source="by hand", seed=0, settings="by hand")
    asked = ProductsConfig(thresholds=THRESHOLDS, quantiles=QUANTILES, periods=(PERIOD,))
    maps = products_of(forecast.ssldm.joined(frames), asked).drop_vars("matched_mean_rate")
    return forecast.merge(maps, compat="override")


def about_of(forecast: xr.Dataset) -> dict[str, Any]:
    """What the forecaster says of the domain."""
    rates = [f"quantile-{q:g}" for q in QUANTILES] + [f"probability-{t:g}" for t in THRESHOLDS]
    return {
        "title": "The Netherlands",
        "bounds": bounds_of(forecast),
        "step_minutes": 5.0,
        "lead_minutes": lead_minutes(),
        "members": MEMBERS,
        "thresholds": list(THRESHOLDS),
        "periods": [PERIOD],
        "quantiles": list(QUANTILES),
        "products": [
            "mean", *(f"member-{k}" for k in range(MEMBERS)), *rates,
            *(f"amount-{PERIOD}-{rate}" for rate in rates),
        ],
    }  # fmt: skip


def lead_minutes() -> list[float]:
    """Of all forecasts."""
    return [5.0 * n for n in range(1, LEADS + 1)]


def summary_of(time: np.datetime64, state: str = "full") -> dict[str, Any]:
    """How a cycle was answered."""
    return {
        "cycle": stamp_of(time), "reference_time": iso(time), "published": iso(time), "state": state,
        "reasons": [], "members": MEMBERS if state != "none" else 0, "asked_members": MEMBERS,
        "lead_minutes": lead_minutes() if state != "none" else [], "seconds": 1.0, "latency_seconds": 2.0,
        "source": "by hand", "covered_share": 0.98, "input_notes": None,
    }  # fmt: skip


def fill(store: Store, frames: xr.DataArray, forecast: xr.Dataset) -> Store:
    """Put all of it into a store, as the forecaster does."""
    for number, time in enumerate(frames["time"].values):
        store.put_frame(DOMAIN, stamp_of(time), frames[number])
    store.put_about(DOMAIN, about_of(forecast))
    store.put_cycle(DOMAIN, summary_of(LAST - STEP, "none"), None, None)
    store.put_cycle(DOMAIN, summary_of(LAST), forecast, None)
    store.put_status(
        {"heartbeat": iso(np.datetime64("now")), "queue": 0, "cycles": 2, "degraded": 1, "errors": []}
    )
    return store
