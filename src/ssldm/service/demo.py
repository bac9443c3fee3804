"""A demonstration: a simulated storm, whose files come in as radar files do, only quicker."""

import threading
from itertools import count
from pathlib import Path

import numpy as np
import xarray as xr

from ssldm.config_file import parsed
from ssldm.hdf5_output import replacing_hdf5
from ssldm.radar.grid import Grid
from ssldm.radar.observations import NAME, observations
from ssldm.radar.simulation import endless_storm
from ssldm.service.config import ServiceConfig
from ssldm.service.times import Clock

_SIDE, _PIXEL_METRES = 256, 1000.0
_PLACE = "+proj=aeqd +lat_0=52.2 +lon_0=5.3 +datum=WGS84 +units=m"
_STEP = np.timedelta64(5, "m")
_BEFORE, _AHEAD = 24, 6
_SPEED = 20.0
_KEPT = 48


def demo_config(folder: Path, members: int) -> ServiceConfig:
    """The service of the demonstration, in a folder."""
    start = np.datetime64("now", "m")
    start -= (start - start.astype("datetime64[D]")) % _STEP
    alarm = {"name": "utrecht", "lat": 52.09, "lon": 5.12, "threshold": 2.0, "probability": 0.6}
    domain = {
        "name": "demo",
        "title": "A simulated storm",
        "watch": [str(folder / "radar")],
        "members": members,
        "alarms": [alarm],
    }
    return parsed(
        ServiceConfig,
        {
            "domains": [domain],
            "store": str(folder / "store"),
            "keep": "4h",
            "catch_up": "40min",
            "budget": "30s",
            "stale": "2h",
            "replay": {"start": str(start), "speed": _SPEED},
        },
    )


def feed(config: ServiceConfig, clock: Clock, stop: threading.Event) -> None:
    """Write frames of a storm until it is told to stop: two hours at once, the others as their time comes."""
    folder = Path(config.domains[0].watch[0])
    folder.mkdir(parents=True, exist_ok=True)
    assert config.replay is not None
    start = np.datetime64(config.replay.start, "ns")
    storm = endless_storm((_SIDE, _SIDE), np.random.default_rng(3))
    half = _SIDE * _PIXEL_METRES / 2.0
    grid = Grid.from_edges((_SIDE, _SIDE), west=-half, east=half, south=-half, north=half, crs=_PLACE)
    for number in count(-_BEFORE):
        time = start + number * _STEP
        about = {"product": "a simulated storm", "institution": "ssldm", "license": "none needed"}
        frame = observations(next(storm)[None], [time], grid, about)
        while time > clock.now() + _AHEAD * _STEP:
            if stop.wait(1.0):
                return
        if stop.is_set():
            return
        stamp = f"{time.astype('datetime64[m]')}".replace("-", "").replace(":", "").replace("T", "")
        _write(frame, folder / f"storm_{stamp}.nc")
        for old in sorted(folder.glob("storm_*.nc"))[:-_KEPT]:
            old.unlink()


def _write(frame: xr.DataArray, path: Path) -> None:
    with replacing_hdf5(path) as file:
        frame.to_dataset(name=NAME).to_netcdf(file, engine="h5netcdf")
