"""Radar files of a small storm, and a model that costs nothing, for tests of the forecaster."""

from types import SimpleNamespace

import numpy as np

from ssldm.forecast.dataset import nowcast_dataset
from ssldm.forecast.extrapolation import extrapolated_rate
from ssldm.radar.context import latest_context
from ssldm.radar.grid import Grid
from ssldm.radar.observations import NAME, observations, time_step
from ssldm.radar.simulation import simulate

START = np.datetime64("2021-05-11T00:00", "ns")
STEP = np.timedelta64(5, "m")
PLACE = "+proj=aeqd +lat_0=52.2 +lon_0=5.3 +datum=WGS84 +units=m"


def storm(frames, shape=(48, 64), seed=0):
    """Observations ``(time, y, x)`` with a place on the Earth."""
    rate = simulate(frames, shape, seed=seed).values
    half = [side * 500.0 for side in shape]
    grid = Grid.from_edges(shape, west=-half[1], east=half[1], south=-half[0], north=half[0], crs=PLACE)
    return observations(rate, [START + t * STEP for t in range(frames)], grid, {"product": "test storm"})


def write_frame(observed, number, folder):
    """One frame as a file, named by its time."""
    frame = observed.isel(time=slice(number, number + 1))
    stamp = str(frame["time"].values[0].astype("datetime64[m]"))
    path = folder / f"storm_{''.join(filter(str.isdigit, stamp))}.nc"
    frame.to_dataset(name=NAME).to_netcdf(path, engine="h5netcdf")
    return path


class QuickModel:
    """Members that are the extrapolation times a number of their own."""

    config = SimpleNamespace(context_frames=4, lead_frames=6, step_minutes=5.0)

    def nowcast(self, context, *, members, motion, seed, **_):
        context = latest_context(context, 4)
        rate = extrapolated_rate(context.values, 6, motion)
        factors = np.linspace(0.5, 1.5, members, dtype=np.float32)[:, None, None, None]
        return nowcast_dataset(
            factors * rate, context, time_step(context), source="quick", seed=seed, settings="test"
        )
