"""What a GeoTIFF says of its bands, in the tags of several services: quantity, unit, codes, scale, time."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.stored_codes import check_factors

# Metadata that GDAL leaves as text, as in the files of FMI.
_ITEM = re.compile(r'<Item name="(?P<name>[^"]*)"(?P<rest>[^>]*)>(?P<value>[^<]*)</Item>')
_UNIT = re.compile(r'\bunit="(?P<unit>[^"]*)"')
# Of one band; where a file has several, such a tag of the whole file may be meant for any.
_OF_A_BAND = {"units", "unit", "grib_unit", "quantity", "quantity unit", "standard_name", "gain", "offset"}
_OF_A_BAND |= {"scale_factor", "add_offset", "nodata", "undetect", "_fillvalue", "missing_value"}
_COORDINATES = {"time", "x", "y", "lat", "lon", "latitude", "longitude", "crs", "spatial_ref"}
_TIMES = ("observation time", "observation_time", "obstime", "valid_time", "nominal_time", "time", "datetime")
# A zone with a minus would look like the hours of a second time.
_ZONE = r"(?P<zone>Z|\+\d{2}(?::?\d{2})?(?!\d))?"
_COMPACT = re.compile(rf"(?<!\d)(?P<date>\d{{8}})[T_\-. ]?(?P<time>\d{{4}}(?:\d{{2}})?){_ZONE}(?!\d)")
_SPACED = re.compile(
    r"(?<!\d)(?P<year>\d{4})(?P<d>[-_])(?P<month>\d{2})(?P=d)(?P<day>\d{2})"
    r"[T_\- ](?P<hour>\d{2})(?P<t>[-_:]?)(?P<minute>\d{2})(?:(?P=t)(?P<second>\d{2}))?"
    rf"{_ZONE}(?!\d)"
)
_BEHIND_UTC = re.compile(r"\d{8}T\d{4}(\d{2})?-(0\d|1[0-2])(00|30)(?!\d)")


@dataclass(frozen=True)
class Statements:
    """What a file says of one band.

    Attributes:
        tags: names in lower case; those of the band, else those of the file.
        description: of the band, empty where there is none.
        scaling: scale and offset by GDAL, 1 and 0 where there are none.
        nodata: by GDAL.
    """

    tags: Mapping[str, str]
    description: str
    scaling: tuple[float, float]
    nodata: float | None

    def first(self, *names: str) -> str:
        """The first of some tags that says something, else an empty string."""
        return next((value for name in names if (value := self.tags.get(name, "").strip())), "")

    @property
    def unit(self) -> str:
        """Of the values, as the file writes it."""
        return self.first("units", "unit", "quantity unit", "grib_unit").strip("[]")

    @property
    def quantity(self) -> str:
        """What the values are, as the file names it."""
        return self.first("quantity", "standard_name") or self.description

    def gain_and_offset(self) -> tuple[float, float]:
        """What makes values of stored numbers.

        Raises:
            ObservationError: two that differ, a factor that is not positive, or something that is no number.
        """
        tagged = (
            self.number("gain", "scale_factor", default=1.0),
            self.number("offset", "add_offset", default=0.0),
        )
        if self.scaling == (1.0, 0.0):
            return check_factors(*tagged)
        check_factors(*self.scaling)
        if tagged not in {(1.0, 0.0), self.scaling}:
            raise ObservationError(
                f"expected one scale and offset, found {self.scaling} of the band and {tagged} in its tags"
            )
        return self.scaling

    def number(self, *names: str, default: float) -> float:
        """The first of some tags as a number.

        Raises:
            ObservationError: something else.
        """
        written = self.first(*names)
        try:
            return float(written) if written else default
        except ValueError as error:
            raise ObservationError(f"expected a number in the tag {names[0]}, found {written!r}") from error

    def missing_codes(self) -> set[float]:
        """Stored numbers of what is not observed."""
        tagged = {
            self.number(name, default=np.nan)
            for name in ("nodata", "_fillvalue", "missing_value")
            if self.first(name)
        }
        return tagged | (set() if self.nodata is None else {float(self.nodata)})


def statements_of(file: Any, band: int, *, alone: bool) -> Statements:
    """What an open rasterio dataset says of a band.

    Args:
        file: the dataset.
        band: number, from 1.
        alone: whether it is the only band, so that what is said of the file is said of it.
    """
    of_band = {name.lower(): value for name, value in file.tags(band).items()}
    of_file = {
        _own_name(name.lower(), of_band.get("netcdf_varname", "").lower()): value
        for name, value in file.tags().items()
    }
    for item in _ITEM.finditer(of_file.pop("gdal_metadata", "")):
        name = item["name"].lower()
        of_file[name] = item["value"]
        if unit := _UNIT.search(item["rest"]):
            of_file[f"{name} unit"] = unit["unit"]
    if not alone:
        of_file = {name: value for name, value in of_file.items() if name not in _OF_A_BAND}
    if file.units[band - 1]:
        of_band["units"] = file.units[band - 1]
    return Statements(
        of_file | of_band,
        file.descriptions[band - 1] or "",
        (file.scales[band - 1], file.offsets[band - 1]),
        file.nodatavals[band - 1],
    )


def _own_name(name: str, variable: str) -> str:
    """A tag like ``precip#units``, as GDAL makes it of NetCDF; ``units`` where the variable is the band."""
    of, _, attribute = name.rpartition("#")
    own = of in {variable, "nc_global"} if variable else of not in _COORDINATES
    return attribute if own else name


def time_of(said: Statements, path: Path) -> np.datetime64:
    """The time of a frame: by its tags, else by its file's name, else by when the image was made.

    Raises:
        ObservationError: none of them says, or the name says several.
    """
    if (time := _joined_time(said, "date", "time")) is not None:
        return time
    for name in _TIMES:
        if (time := parsed_time(said.first(name))) is not None:
            return time
    if (time := _netcdf_time(said)) is not None:
        return time
    if seconds := re.match(r"\s*(\d{9,10})\b", said.first("grib_valid_time")):
        return np.datetime64(int(seconds[1]) * 10**9, "ns")
    named = _times_in(path.name)
    if len(named) > 1:
        found = " and ".join(map(str, named))
        raise ObservationError(f"expected one time in the name {path.name}, found {found}")
    # By the standard TIFFTAG_DATETIME is when the image was made, which may be later than what it shows.
    time = named[0] if named else parsed_time(said.first("tifftag_datetime"))
    if time is None:
        raise ObservationError(
            "expected a time in the tags (such as time, or TIFFTAG_DATETIME) or in the file name "
            "(like 202401011200), found none"
        )
    return time


def period_of(said: Statements, time: np.datetime64) -> np.timedelta64 | None:
    """What time an amount ending at ``time`` was gathered in, None where the file does not say."""
    start, end = (_joined_time(said, f"{name}date", f"{name}time") for name in ("start", "end"))
    if start is not None and end is not None:
        return end - start
    if (start := parsed_time(said.first("start_time", "start time"))) is not None:
        return time - start
    hours = {"h": 1.0, "hour": 1.0, "hours": 1.0, "min": 1.0 / 60.0, "minutes": 1.0 / 60.0}
    unit = hours.get(said.first("accumulation time unit"))
    length = said.number("accumulation time", default=0.0)
    return np.timedelta64(round(3600.0 * length * unit), "s") if unit and length > 0.0 else None


def _joined_time(said: Statements, date: str, time: str) -> np.datetime64 | None:
    """The time that two tags give, of a day and of an hour."""
    return parsed_time(f"{said.first(date).replace('/', '-')}T{said.first(time)}")


def _netcdf_time(said: Statements) -> np.datetime64 | None:
    """The place of a band along the time of the NetCDF file that GDAL took it from."""
    units = said.first("time#units")
    if not (units and said.first("netcdf_dim_time")):
        return None
    attributes = {"units": units, "calendar": said.first("time#calendar") or "standard"}
    count = said.number("netcdf_dim_time", default=np.nan)
    try:
        dataset = xr.decode_cf(xr.Dataset({"time": ((), count, attributes)}))
        return np.datetime64(
            int(dataset["time"].dt.round("s").astype("datetime64[ns]").astype(np.int64)), "ns"
        )
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ObservationError(
            f"expected a time as the tag NETCDF_DIM_time, found {count:g} {units!r}"
        ) from error


def parsed_time(written: str) -> np.datetime64 | None:
    """A date with a time of day, UTC unless it names a zone; None for anything else."""
    written = re.sub(r"\s*(UTC|GMT)$", "Z", written.strip())
    written = re.sub(r"^(\d{4}):(\d{2}):(\d{2})\b", r"\1-\2-\3", written)
    if re.fullmatch(r"\d{12}(\d{2})?", written):
        written = f"{written[:8]}T{written[8:]}"
    if not re.match(r"\d{4}-?\d{2}-?\d{2}[T ]\d{2}", written):
        return None
    with suppress(ValueError):
        time = datetime.fromisoformat(written)
        time = time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
        return np.datetime64(time, "ns")
    return None


def _times_in(name: str) -> list[np.datetime64]:
    """The different times in a file name, UTC unless they name a zone.

    Raises:
        ObservationError: a minus and four digits after a time, which may be a zone or the end of a period.
    """
    if found := _BEHIND_UTC.search(name):
        raise ObservationError(
            f"expected a time in the name {name} that can be read in one way, found {found[0]}"
        )
    written = [f"{found['date']}T{found['time']}{found['zone'] or ''}" for found in _COMPACT.finditer(name)]
    written += [
        "{year}{month}{day}T{hour}{minute}{second}{zone}".format_map(found.groupdict(""))
        for found in _SPACED.finditer(name)
    ]
    return sorted({time for stamp in written if (time := parsed_time(stamp)) is not None})
