"""SEVIR: vertically integrated liquid of storm events, HDF5 with a catalogue."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, is_hdf5, text
from ssldm.radar.grid import Grid
from ssldm.radar.observations import observations
from ssldm.radar.units import ZRRelation

if TYPE_CHECKING:
    import pandas as pd

NAME = "sevir"
PRODUCT = Product("SEVIR VIL as rain rate", "MIT Lincoln Laboratory", "unknown", "US-MIT-rainfall_rate")
CATALOGUE = "CATALOG.csv"
_UNOBSERVED = 255
DEPTH = 3000.0


def recognise(path: Path, head: bytes) -> bool:
    """HDF5 with events and their identifiers."""
    if not is_hdf5(path, head):
        return False
    import h5py

    with h5py.File(path) as file:
        return "vil" in file and "id" in file


def liquid_of_byte() -> NDArray[np.float64]:
    """Vertically integrated liquid in kg m⁻² of each byte (Veillette et al. 2020, appendix)."""
    x = np.arange(256, dtype=np.float64)
    return np.where(x <= 5, 0.0, np.where(x <= 18, (x - 2.0) / 90.66, np.exp((x - 83.9) / 38.9)))


def rain_of_liquid(liquid: NDArray[np.float64], relation: ZRRelation) -> NDArray[np.float64]:
    """Rain rate in mm/h of vertically integrated liquid in kg m⁻².

    M = 3.44e-6 Z^(4/7) kg m⁻³ (Greene and Clark 1972), the liquid spread evenly over `DEPTH` metres: a
    convention to bring it into mm/h, not a measurement.
    """
    reflectivity = (liquid / (3.44e-6 * DEPTH)) ** (7.0 / 4.0)
    return np.asarray((reflectivity / relation.a) ** (1.0 / relation.b))


def read(path: Path, options: ReadOptions) -> Iterator[xr.DataArray]:
    """Event by event; each is a place of its own, stored with the southern row first."""
    import h5py

    catalogue = _catalogue(_find_catalogue(path))
    relation = options.zr or ZRRelation()
    rates = rain_of_liquid(liquid_of_byte(), relation).astype(np.float32)
    rates[_UNOBSERVED] = np.nan
    with h5py.File(path) as file:
        events, identifiers = file["vil"], file["id"]
        if events.ndim != 4 or events.dtype != np.uint8:
            raise ObservationError(f"expected uint8 (event, y, x, time), found {events.dtype} {events.shape}")
        shape = check_frame(events.shape[1:3])
        for number in range(len(events)):
            identifier = text(identifiers[number])
            if identifier not in catalogue.index:
                raise ObservationError(f"expected event {identifier} in {CATALOGUE}, found none")
            row = catalogue.loc[identifier]
            minutes = [float(offset) for offset in str(row["minute_offsets"]).split(":")]
            if len(minutes) != events.shape[3]:
                raise ObservationError(f"expected {len(minutes)} frames, found {events.shape[3]}")
            start = np.datetime64(str(row["time_utc"]), "ns")
            yield observations(
                rates[np.moveaxis(events[number], -1, 0)[:, ::-1]],
                [start + np.timedelta64(round(60 * m), "s") for m in minutes],
                _grid(row, shape),
                PRODUCT.attributes(relation, place=identifier, vil_depth=DEPTH),
            )


def _grid(row: Any, shape: tuple[int, int]) -> Grid:
    from pyproj import Transformer

    to_plane = Transformer.from_crs("EPSG:4326", str(row["proj"]), always_xy=True)
    west, south = to_plane.transform(float(row["llcrnrlon"]), float(row["llcrnrlat"]))
    east, north = to_plane.transform(float(row["urcrnrlon"]), float(row["urcrnrlat"]))
    return Grid.from_edges(shape, west=west, east=east, south=south, north=north, crs=str(row["proj"]))


def _find_catalogue(path: Path) -> Path:
    for folder in list(path.resolve().parents)[:5]:
        if (folder / CATALOGUE).is_file():
            return folder / CATALOGUE
    raise ObservationError(f"expected {CATALOGUE} in the file's folder or one above, found none")


@lru_cache(maxsize=2)
def _catalogue(path: Path) -> "pd.DataFrame":
    import pandas as pd

    table = pd.read_csv(path, dtype=str, low_memory=False)
    missing = {"id", "img_type", "time_utc", "minute_offsets", "proj"} - set(table.columns)
    if missing:
        raise ObservationError(f"{path}: expected the columns {', '.join(sorted(missing))}")
    return table[table["img_type"] == "vil"].drop_duplicates("id").set_index("id")
