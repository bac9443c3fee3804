"""Nowcasts small enough to do by hand."""

import numpy as np
import pyproj
import xarray as xr

MINUTE = np.timedelta64(1, "m").astype("timedelta64[ns]")
START = np.datetime64("2024-07-10T12:00", "ns")


def nowcast(rate: np.ndarray, step: int = 15, pixel: float = 1000.0) -> xr.Dataset:
    """Of rates ``(member, lead_time, y, x)`` in mm/h on pixels around 52° N, 5° E, first row in the north."""
    leads = np.arange(1, rate.shape[1] + 1) * step * MINUTE
    crs = pyproj.CRS.from_proj4("+proj=laea +lat_0=52 +lon_0=5 +ellps=WGS84 +units=m")
    height, width = rate.shape[2:]
    return xr.Dataset(
        {
            "precipitation_rate": (
                ("member", "lead_time", "y", "x"),
                rate.astype(np.float32),
                {"units": "mm h-1", "grid_mapping": "crs", "cell_methods": "lead_time: mean"},
            )
        },
        coords={
            "member": np.arange(rate.shape[0]),
            "lead_time": leads,
            "valid_time": ("lead_time", START + leads),
            "forecast_reference_time": START,
            "y": pixel * (height / 2 - 0.5 - np.arange(height)),
            "x": pixel * (np.arange(width) + 0.5 - width / 2),
            "crs": ((), 0, crs.to_cf()),
        },
        attrs={"title": "a nowcast", "seed": 3},
    )


def random_nowcast(*shape: int, seed: int = 0, **options: float) -> xr.Dataset:
    """Rain here and there, and a pixel that is not forecast from the second lead time on."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.5, 4.0, shape) * (rng.random(shape) < 0.6)
    rate[:, 1:, 0, 0] = np.nan
    return nowcast(rate, **options)
