"""Forecasts of the German weather service: RADOLAN composites RV, sums of 5 minutes up to two hours ahead."""

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.errors import ObservationError, SsldmError
from ssldm.forecast.dataset import nowcast_dataset
from ssldm.paths import as_path
from ssldm.radar.folders import exists, files_below, is_folder, matching
from ssldm.radar.formats import radolan
from ssldm.radar.formats.protocol import Product, ReadOptions, check_frame, limited
from ssldm.radar.observations import observations
from ssldm.radar.sources import Item, Source, resolve
from ssldm.radar.units import rate_of_accumulation
from ssldm.radar.unpacking import unpack

_MINUTES = 5
_LEADS = range(_MINUTES, 121, _MINUTES)
_PRODUCT = Product("DWD RADOLAN RV", "Deutscher Wetterdienst", "CC-BY-4.0", "DE-DWD-rainfall_rate")
_TAR = re.compile(r"\.(tar(\.(gz|bz2|xz))?|tgz|tbz2?|txz)$", re.IGNORECASE)
_PACKED = (".tar.gz", ".tar.bz2", ".tar.xz")
_HEAD_BYTES = 32


def names_composites(source: Source) -> bool:
    """Whether a nowcast is a list or pattern of files, a tar archive, or RADOLAN by its first bytes.

    Raises:
        ObservationError: neither a path nor a list, or a path that cannot be reached.
    """
    if _is_list(source):
        return True
    path = as_path(source, ObservationError)
    if not exists(path):
        return glob.has_magic(str(path))
    if is_folder(path):
        return any(map(_is_composite, files_below(path)))
    return path.is_file() and (_TAR.search(path.name) is not None or _is_composite(path))


def open_composites(source: Source) -> xr.Dataset:
    """The nowcast in RADOLAN composites RV of one reference time, read into memory.

    It has one member, lead times of 5, 10, … 120 min, and rates in mm/h that are means over the 5 min until
    then, NaN where no radar looks and in clutter. The analysis, at 0 min, is left out.

    Args:
        source: a tar archive, a folder, a pattern, or a list of files.

    Raises:
        ObservationError: other products, lead times that are missing or come twice, several reference times
            or grids, or a damaged file.
    """
    source = source if _is_list(source) else as_path(source, ObservationError)
    rates: dict[int, NDArray[np.float32]] = {}
    first: dict[str, Any] = {}
    try:
        with _items(source) as items:
            for item in items:
                header, rate = _read(item, first)
                first = first or header
                lead = header["predictiontime"]
                if lead in rates:
                    raise ObservationError(
                        f"expected one composite for each lead time, found two of {lead} min"
                    )
                rates[lead] = rate
        if missing := ", ".join(str(lead) for lead in _LEADS if lead not in rates):
            raise ObservationError(f"expected composites for 5, 10, … 120 min, found none for {missing} min")
    except SsldmError as error:
        message, place = str(error), f"{source}: "
        if _is_list(source):
            place = "" if rates else "expected a path, or a list of RADOLAN files: "
        elif message.startswith(str(source)):
            place = ""
        raise ObservationError(place + message) from error
    return _dataset(np.stack([rates[lead] for lead in _LEADS]), first)


def _is_list(source: object) -> bool:
    return isinstance(source, Sequence) and not isinstance(source, str | bytes)


def _is_composite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return radolan.recognise(path, file.read(_HEAD_BYTES))


@contextmanager
def _items(source: Source) -> Iterator[list[Item]]:
    """The files of a source; an archive is unpacked once, where fsspec would for each of its files."""
    archive = source
    with TemporaryDirectory(prefix="ssldm-") as folder:
        if isinstance(source, Path):
            found = [source] if exists(source) else matching(str(source))
            if len(found) == 1 and found[0].is_file() and found[0].name.lower().endswith(_PACKED):
                archive = unpack(found[0], Path(folder))
        try:
            yield resolve(archive)
        except SsldmError as error:
            raise ObservationError(str(error).replace(str(archive), str(source))) from error


def _read(item: Item, first: dict[str, Any]) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Header and rates ``(y, x)`` in mm/h, northern row first, of a composite like the first.

    Raises:
        ObservationError: it is unlike it, no composite RV, or damaged.
    """
    name = item.name if item.remote else item.url
    path = Path(name)
    try:
        with item.local() as path:
            return _composite(path, first)
    except ObservationError as error:
        raise ObservationError(str(error) if name in str(error) else f"{name}: {error}") from error
    except Exception as error:  # whatever the importer raises on bytes it cannot make sense of
        reason = (str(error).splitlines() or [type(error).__name__])[0].replace(str(path), name)
        raise ObservationError(f"{name}: damaged or cut short ({reason})") from error


def _composite(path: Path, first: dict[str, Any]) -> tuple[dict[str, Any], NDArray[np.float32]]:
    from wradlib.io.radolan import read_radolan_composite

    if not _is_composite(path):
        raise ObservationError("expected a RADOLAN composite, found something else")
    _, header = read_radolan_composite(str(path), loaddata=False)
    if header["producttype"] != "RV":
        raise ObservationError(f"expected a forecast (RADOLAN RV), found RADOLAN {header['producttype']}")
    minutes, lead = header.get("intervalseconds", 0) / 60, header.get("predictiontime")
    if minutes != _MINUTES or lead not in (0, *_LEADS) or "precision" not in header:
        found = f"{minutes:g}, {lead} and {header.get('precision')}"
        raise ObservationError(f"expected INT 5, VV from 0 to 120 by 5, and PR in the header, found {found}")
    check_frame((header["nrow"], header["ncol"]))
    if first and header["datetime"] != first["datetime"]:
        times = " and ".join(f"{each['datetime']:%Y-%m-%d %H:%M}" for each in (first, header))
        raise ObservationError(f"expected composites of one reference time, found {times} UTC")
    if first and any(header.get(key) != first.get(key) for key in ("nrow", "ncol", "formatversion")):
        raise ObservationError("expected composites of one grid, found another")
    amount, header = read_radolan_composite(str(path))
    for mask in ("nodatamask", "cluttermask"):
        amount.flat[header[mask]] = np.nan
    return header, rate_of_accumulation(amount[::-1], _MINUTES).astype(np.float32)


def _dataset(rate: NDArray[np.float32], header: dict[str, Any]) -> xr.Dataset:
    """The nowcast of rates ``(lead_time, y, x)`` in mm/h."""
    start, step = np.datetime64(header["datetime"], "ns"), np.timedelta64(_MINUTES, "m")
    times = [start + np.timedelta64(lead, "m") for lead in _LEADS]
    attributes = _PRODUCT.attributes(accumulation_minutes=_MINUTES)
    frames = limited(observations(rate, times, radolan.grid_of(header), attributes), ReadOptions())
    last = frames.isel(time=[0]).assign_coords(time=[start])
    forecast = nowcast_dataset(frames.values[None], last, step, source=_PRODUCT.name, seed=0, settings="")
    when = np.datetime_as_string(start, unit="m")
    kept = ("Conventions", "institution", "source", "observations")
    forecast.attrs = {name: forecast.attrs[name] for name in kept} | {
        "title": "Nowcast of rain rate",
        "history": f"ssldm {version('ssldm')} from {_PRODUCT.name} of {when}Z",
        "license": _PRODUCT.license,
    }
    return forecast
