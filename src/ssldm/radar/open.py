"""`open_radar`: files of a radar product as observations."""

import os
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import xarray as xr
from pydantic import ValidationError

from ssldm.errors import ConfigurationError, InputRepaired, ObservationError, SsldmError
from ssldm.radar.formats.protocol import RadarFormat, ReadOptions, limited
from ssldm.radar.joining import join, not_yet_in, without_overlap
from ssldm.radar.sources import Item, Source, resolve
from ssldm.radar.units import ZRRelation
from ssldm.radar.watchdog import watched

# In the order of asking: the last takes whatever is NetCDF.
FORMATS = (
    "knmi",
    "odim",
    "sevir",
    "meteoswiss",
    "fmi_pgm",
    "fmi_geotiff",
    "geotiff",
    "mrms",
    "radolan",
    "meteonet",
    "smhi",
    "hko7",
    "cf",
)
_HEAD_BYTES = 32


def open_radar(
    source: Source | xr.DataArray | xr.Dataset,
    *,
    format: str | None = None,  # noqa: A002
    zr: ZRRelation | tuple[float, float] | None = None,
    max_rate: float = ReadOptions().max_rate,
    skip_damaged: bool = False,
) -> xr.DataArray:
    """Open radar files as observations in mm/h.

    Args:
        source: a path, a glob pattern, a folder, a URL (whatever fsspec opens), a list of these, or an
            xarray object with CF attributes; all of one product, grid and place.
        format: one of `FORMATS`; None recognises it from the content of each file.
        zr: (a, b) of Z = a R^b for products of reflectivity; None is the relation that the service uses.
        max_rate: rates above it, in mm/h, are taken for clutter and become unobserved.
        skip_damaged: pass over files that cannot be read and frames that come twice, with a warning; all
            frames are read at once then.

    Returns:
        ``precipitation_rate (time, y, x)``, float32, sorted by time; NaN is not observed. A CF NetCDF file or
        Zarr store is read lazily.

    Raises:
        ObservationError: nothing found, an unknown or broken file, files that do not fit together.
        ConfigurationError: no such format.
    """
    options = read_options(zr, max_rate)
    _check_format(format)
    if isinstance(source, xr.DataArray | xr.Dataset):
        from ssldm.radar.from_xarray import observations_of

        return without_overlap(limited(observations_of(source, options), options))
    if isinstance(source, bytes) or not isinstance(source, str | os.PathLike | Sequence):
        raise ConfigurationError(
            f"expected a path, a pattern, a URL, a list of these or an xarray object, found {source!r}"
        )
    items = resolve(source)
    pieces: list[xr.DataArray] = []
    faults: list[ObservationError] = []
    for item in items:
        try:
            for piece in read_item(item, options, format):
                pieces.append(not_yet_in(pieces, loaded(piece, item), item.name) if skip_damaged else piece)
        except ObservationError as error:
            if not skip_damaged:
                raise
            faults.append(error)
            warnings.warn(f"skipped {error}", InputRepaired, stacklevel=2)
    pieces = [piece for piece in pieces if piece.sizes["time"]]
    if not pieces and faults:
        raise faults[0]
    if not pieces:
        raise ObservationError(f"expected observations, found none in {items[0].url}")
    return join(pieces)


def loaded(piece: xr.DataArray, item: Item) -> xr.DataArray:
    """Observations in memory; what was opened lazily may still turn out to be damaged.

    Raises:
        ObservationError: it does.
    """
    try:
        return piece.load()
    except SsldmError:
        raise
    except Exception as error:
        raise ObservationError(f"{item.url}: damaged or cut short ({_first_line(error)})") from error


def read_options(
    zr: ZRRelation | tuple[float, float] | None = None, max_rate: float = ReadOptions().max_rate
) -> ReadOptions:
    """Options of reading, a pair taken for a Z-R relation.

    Raises:
        ConfigurationError: no pair of positive numbers, or no positive rate.
    """
    try:
        if isinstance(zr, ZRRelation | None):
            relation = zr
        else:
            a, b = zr
            relation = ZRRelation(a=a, b=b)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"expected two positive numbers a, b of Z = a R^b, found {zr!r}") from error
    try:
        return ReadOptions(zr=relation, max_rate=max_rate)
    except ValidationError as error:
        raise ConfigurationError(f"expected a positive rate in mm/h, found {max_rate!r}") from error


def read_item(
    item: Item,
    options: ReadOptions | None = None,
    format: str | None = None,  # noqa: A002
) -> Iterator[xr.DataArray]:
    """The observations in one file, in pieces of one place each.

    Raises:
        ObservationError: an unknown or broken file.
    """
    options = options or ReadOptions()
    local = item.url
    try:
        if item.remote and (stores := _remote_stores(item)):
            for store in stores:
                yield limited(store, options)
            return
        with item.local() as path:
            local = str(path)
            yield from watched(_pieces(path, options, format))
    except ObservationError as error:
        message = str(error).replace(local, item.url)
        raise ObservationError(message if item.name in message else f"{item.url}: {message}") from error
    except SsldmError:
        raise
    except Exception as error:  # whatever an importer raises on bytes it cannot make sense of
        raise ObservationError(f"{item.url}: cannot be read ({_first_line(error)})") from error


def _pieces(path: Path, options: ReadOptions, name: str | None) -> Iterator[xr.DataArray]:
    for piece in recognise(path, name).read(path, options):
        yield limited(piece, options)


def recognise(path: Path, name: str | None = None) -> RadarFormat:
    """The format of a file, by name or from its content.

    Raises:
        ObservationError: none of the known formats.
        ConfigurationError: a name that is none of them.
    """
    if name is not None:
        _check_format(name)
        return _format(name)
    if path.is_dir():
        return _format("cf")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for candidate in map(_format, FORMATS):
        try:
            if candidate.recognise(path, head):
                return candidate
        except Exception as error:
            raise ObservationError(f"{path}: damaged or cut short ({_first_line(error)})") from error
    raise ObservationError(f"{path}: expected one of the formats {', '.join(FORMATS)}, found none of them")


def _check_format(name: str | None) -> None:
    if name is not None and name not in FORMATS:
        raise ConfigurationError(f"expected one of the formats {', '.join(FORMATS)}, found {name!r}")


def _format(name: str) -> RadarFormat:
    return cast(RadarFormat, import_module(f"ssldm.radar.formats.{name}"))


def _remote_stores(item: Item) -> list[xr.DataArray]:
    """The series of a remote Zarr store, which is read in place; none for a file."""
    import fsspec

    from ssldm.radar.formats.cf import groups_of, open_store

    if item.url.startswith("http") and not item.name.endswith(".zarr"):
        return []  # asking a web server whether a file is a folder fetches the file
    filesystem, path = fsspec.core.url_to_fs(item.url)
    if not filesystem.isdir(path):
        return []
    return [open_store(item.url, group) for group in groups_of(item.url)]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
