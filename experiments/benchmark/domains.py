"""What forecasts start from: radar composites where their files are, else simulated storms of their size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from benchmark.measure import Options

from ssldm import open_radar, simulate
from ssldm.radar.simulation import StormConfig

FRAMES = 4
# Of the Dutch composite, when it is simulated: a disc around the radars.
_OBSERVED_SHARE = 0.25
_DUTCH = "knmi_h5/RAD_NL25_RAP_5min_20100826{time}.h5"
_DUTCH_TIMES = ("0300", "0305", "0310", "0315")
_CONTINENTAL = "opera_odim/T_PABV21_C_EUOC_20241126{time}.hdf"
_CONTINENTAL_TIMES = ("010000", "010500", "011000", "011500")


@dataclass(frozen=True)
class Domain:
    """Four frames in a file.

    Attributes:
        name: with its size, and whether it is simulated.
        path: a NetCDF file that `ssldm.open_radar` reads.
    """

    name: str
    path: Path


def square(side: int) -> xr.DataArray:
    """A simulated storm, observed everywhere."""
    return simulate(FRAMES, (side, side), seed=1)


def square_domain(options: Options) -> Domain:
    """That storm at the published size."""
    side = options.sizes.side
    return _kept(options, "square", square(side), "simulated")


def dutch_domain(options: Options) -> Domain:
    """A national composite that sees a quarter of its picture."""
    files = [options.data / _DUTCH.format(time=time) for time in _DUTCH_TIMES]
    if all(path.exists() for path in files):
        return _kept(options, "Dutch composite", open_radar(files), "KNMI, 26 August 2010")
    storm = simulate(FRAMES, options.sizes.dutch, seed=2)
    return _kept(
        options, "Dutch composite", storm.where(_disc(options.sizes.dutch)), "simulated, a disc observed"
    )


def continental_domain(options: Options) -> Domain:
    """A continental composite; at half the resolution unless its full size is asked for."""
    shape = options.sizes.continental
    files = [options.data / _CONTINENTAL.format(time=time) for time in _CONTINENTAL_TIMES]
    if all(path.exists() for path in files):
        observed = open_radar(files)
        coarser = max(observed.shape[1] // shape[0], 1)
        if coarser > 1:
            blocks = observed.coarsen(y=coarser, x=coarser, boundary="trim")
            observed = blocks.reduce(np.mean, keep_attrs=True)  # not `mean`, which would skip NaN
        return _kept(options, "continental composite", observed, "OPERA, 26 November 2024")
    storm = simulate(FRAMES, shape, seed=3, pixel_size=2000.0, config=StormConfig(outer_scale=400.0))
    return _kept(options, "continental composite", storm, "simulated, all of it observed")


def _disc(shape: tuple[int, int]) -> np.ndarray:
    rows, columns = np.indices(shape)
    distance = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2)
    return distance**2 < _OBSERVED_SHARE * shape[0] * shape[1] / np.pi


def _kept(options: Options, name: str, observed: xr.DataArray, origin: str) -> Domain:
    """In a file, so that a process that forecasts holds nothing of how it was made."""
    path = options.work / f"{name.replace(' ', '-')}.nc"
    observed.astype(np.float32).to_dataset(name="precipitation_rate").to_netcdf(path, engine="h5netcdf")
    return Domain(f"{name} {observed.shape[1]}×{observed.shape[2]} ({origin})", path)
