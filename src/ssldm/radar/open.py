"""`open_radar`: files of a radar product as observations."""

import glob
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError, SsldmError
from ssldm.radar.formats.protocol import RadarFormat
from ssldm.radar.observations import check_observations

FORMATS = ("knmi", "meteoswiss", "fmi_pgm", "smhi")
_HEAD_BYTES = 16

Source = str | Path | Sequence[str | Path]


def open_radar(source: Source) -> xr.DataArray:
    """Open radar files as observations in mm/h.

    Args:
        source: a path, a glob pattern, a folder, or a list of these; all of one product, grid and place.

    Returns:
        ``precipitation_rate (time, y, x)``, float32, sorted by time; NaN is not observed.

    Raises:
        ObservationError: nothing found, an unknown or broken file, files that do not fit together.
    """
    frames = [read_file(path) for path in resolve(source)]
    return join(frames)


def resolve(source: Source) -> list[Path]:
    """The files that a source names, sorted within each pattern or folder.

    Raises:
        ObservationError: a part of the source that names no file.
    """
    parts: Iterable[str | Path] = [source] if isinstance(source, str | Path) else source
    files: list[Path] = []
    for part in parts:
        path = Path(part)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        elif path.is_file():
            found = [path]
        else:
            found = sorted(Path(name) for name in glob.glob(str(part)) if Path(name).is_file())  # noqa: PTH207
        if not found:
            raise ObservationError(f"expected radar files, found nothing at {part}")
        files += found
    if not files:
        raise ObservationError("expected radar files, found an empty list")
    return files


def recognise(path: Path) -> RadarFormat:
    """The format of a file, from its content.

    Raises:
        ObservationError: none of the known formats.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for name in FORMATS:
        candidate = cast(RadarFormat, import_module(f"ssldm.radar.formats.{name}"))
        try:
            if candidate.recognise(path, head):
                return candidate
        except (OSError, EOFError) as error:
            raise ObservationError(f"{path}: damaged or cut short ({_first_line(error)})") from error
    raise ObservationError(f"{path}: expected one of the formats {', '.join(FORMATS)}, found none of them")


def read_file(path: Path) -> xr.DataArray:
    """The observations in one file.

    Raises:
        ObservationError: an unknown or broken file.
    """
    try:
        return recognise(path).read(path)
    except ObservationError as error:
        message = str(error)
        raise ObservationError(message if str(path) in message else f"{path}: {message}") from error
    except SsldmError:
        raise
    except Exception as error:  # whatever an importer raises on bytes it cannot make sense of
        raise ObservationError(f"{path}: cannot be read ({_first_line(error)})") from error


def join(parts: Sequence[xr.DataArray]) -> xr.DataArray:
    """Observations of one product, grid and place as one series sorted by time.

    Raises:
        ObservationError: products, sizes or places that differ, or the same time twice.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in ("product", "place"):
            if part.attrs.get(name) != first.attrs.get(name):
                raise ObservationError(
                    f"expected one {name}, found {first.attrs.get(name)!r} and {part.attrs.get(name)!r}"
                )
        if part.shape[1:] != first.shape[1:]:
            raise ObservationError(
                f"expected frames of one size, found {_size(first)} and {_size(part)} (at {_stamp(part)})"
            )
        if not all(np.allclose(part[axis], first[axis]) for axis in ("y", "x")):
            raise ObservationError(f"expected one grid, found another at {_stamp(part)}")
    joined = xr.concat(
        parts, dim="time", join="override", coords="minimal", compat="override", combine_attrs="override"
    ).sortby("time")
    times, counts = np.unique(joined["time"].values, return_counts=True)
    if (counts > 1).any():
        repeated = np.datetime_as_string(times[counts > 1][0], unit="m")
        raise ObservationError(f"expected each time once, found {repeated} more than once")
    return check_observations(joined)


def _size(data: xr.DataArray) -> str:
    return f"{data.sizes['y']}×{data.sizes['x']}"


def _stamp(data: xr.DataArray) -> str:
    return str(np.datetime_as_string(data["time"].values[0], unit="m"))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
