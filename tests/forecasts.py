"""Forecasts made of random numbers, on any grid."""

from typing import Any

import numpy as np
import xarray as xr

from ssldm.forecast.dataset import nowcast_dataset
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations

STEP = np.timedelta64(5, "m")
KNMI = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378140 +b=6356750 +x_0=0 +y_0=0 +units=m"


def grid_of(crs: str | None = KNMI, shape: tuple[int, int] = (30, 40)) -> Grid:
    return Grid.from_edges(shape, west=100e3, east=140e3, south=-960e3, north=-900e3, crs=crs)


def frames_on(grid: Grid, **attributes: Any) -> xr.DataArray:
    """Four dry frames."""
    times = np.datetime64("2010-08-26T03:00", "ns") + np.arange(4) * STEP
    return observations(np.zeros((4, *grid.shape), np.float32), times, grid, {"product": "p", **attributes})


def random_forecast(
    grid: Grid | None = None,
    *,
    members: int = 4,
    lead_frames: int = 3,
    seed: int = 0,
    paired: bool = False,
    **attributes: Any,
) -> xr.Dataset:
    """A forecast in which no two pixels are alike; ``attributes`` are those of the observations."""
    grid = grid or grid_of()
    rate = np.random.default_rng(seed).random((members, lead_frames, *grid.shape), np.float32)
    return nowcast_dataset(
        rate,
        frames_on(grid, **attributes),
        STEP,
        source="model",
        seed=seed,
        settings="command",
        paired=paired,
    )
