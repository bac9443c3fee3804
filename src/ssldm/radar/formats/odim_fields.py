"""The fields in an ODIM file: which of them is rain, and at what times."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ssldm.errors import ObservationError
from ssldm.radar.formats.hdf5_attributes import Attributes, attributes_of

_QUANTITIES = ("RATE", "ACRR", "DBZH")
# The time of a file may be when a scan began, which may take this long; that of an amount is its end.
_LATEST_START, _LATEST_END = timedelta(minutes=2), timedelta(minutes=10)
_ROUNDED = timedelta(seconds=59)
_PATTERNS = {14: "%Y%m%d%H%M%S", 12: "%Y%m%d%H%M"}


@dataclass(frozen=True)
class Field:
    """One field of a file.

    Attributes:
        name: its group, such as ``dataset1/data1``.
        data: stored values ``(h, w)``, as h5py gives them.
        what: what it is, from its own group and the one above.
        where: where it is, from these and from the whole file.
    """

    name: str
    data: Any
    what: Attributes
    where: Attributes

    @property
    def quantity(self) -> str:
        """The ODIM name of what it shows."""
        return self.what.text("quantity")


def frames(file: Any, nominal: datetime) -> Iterator[tuple[Field, datetime]]:
    """The fields of the first quantity there is, with their times.

    Args:
        file: an open ODIM file.
        nominal: its time, which is that of its only frame.

    Raises:
        ObservationError: no such quantity; several fields of one, unless their end times differ and nothing
            else; or frames of a forecast.
    """
    fields = list(_fields(file))
    quantity = next((q for q in _QUANTITIES if any(field.quantity == q for field in fields)), None)
    if quantity is None:
        found = ", ".join(dict.fromkeys(field.quantity for field in fields)) or "none"
        raise ObservationError(f"expected one of {', '.join(_QUANTITIES)}, found {found}")
    chosen = [field for field in fields if field.quantity == quantity]
    if len(chosen) == 1:
        _check_observed(chosen[0], nominal)
        yield chosen[0], nominal
        return
    if not _are_a_series(chosen):
        raise ObservationError(
            f"expected one field of {quantity}, found several: {', '.join(map(_described, chosen))}"
        )
    ends = [odim_time(field.what, "enddate", "endtime") for field in chosen]
    if max(ends) > nominal:
        raise ObservationError(
            f"expected observations until {nominal}, the file's what/date and what/time, "
            f"found {quantity} until {max(ends)}: a forecast"
        )
    yield from sorted(zip(chosen, ends, strict=True), key=lambda frame: frame[1])


def _check_observed(field: Field, nominal: datetime) -> None:
    """Refuse a field that begins or ends later than a scan that the file's time names could.

    Raises:
        ObservationError: it does.
    """
    amount = field.quantity == "ACRR"
    for name, allowed in (("start", _LATEST_START), ("end", timedelta() if amount else _LATEST_END)):
        names = f"{name}date", f"{name}time"
        if not all(part in field.what and field.what.text(part) for part in names):
            continue
        time = odim_time(field.what, *names)
        if time > nominal + allowed + _ROUNDED:
            raise ObservationError(
                f"expected an observation of {nominal}, the file's what/date and what/time, "
                f"found {field.quantity} with the {name} {time} in {field.name}: a forecast"
            )


def _fields(file: Any) -> Iterator[Field]:
    """Each field with its attributes, which may stand with the data or one level up."""
    for outer in _numbered(file, "dataset"):
        for inner in _numbered(file[outer], "data"):
            name = f"{outer}/{inner}"
            what = attributes_of(file, "what", outer, name)
            if "quantity" in what and "data" in file[name]:
                yield Field(name, file[name]["data"], what, attributes_of(file, "where", "", outer, name))


def _numbered(group: Any, name: str) -> list[str]:
    numbers = sorted(int(key[len(name) :]) for key in group if re.fullmatch(rf"{name}\d+", key))
    return [f"{name}{number}" for number in numbers]


def _are_a_series(fields: list[Field]) -> bool:
    """Whether fields are one product at several times."""
    if not all("enddate" in field.what and "endtime" in field.what for field in fields):
        return False
    products = {_product(field) for field in fields}
    ends = {odim_time(field.what, "enddate", "endtime") for field in fields}
    return len(products) == 1 and len(ends) == len(fields)


def _product(field: Field) -> tuple[str, ...]:
    names = ("product", "prodpar", "prodname")
    return tuple(str(field.what.values.get(name, "")) for name in names)


def _described(field: Field) -> str:
    names = ("product", "prodpar", "prodname", "startdate", "starttime", "enddate", "endtime")
    details = [field.what.text(name) for name in names if name in field.what]
    return f"{field.name} ({' '.join(details)})" if details else field.name


def odim_time(attributes: Attributes, date: str, time: str) -> datetime:
    """A time, UTC, from a date and a time of six digits or, without seconds, of four.

    Raises:
        ObservationError: it is missing or something else.
    """
    stamp = attributes.text(date) + attributes.text(time)
    if stamp.isdigit() and len(stamp) in _PATTERNS:
        with suppress(ValueError):
            return datetime.strptime(stamp, _PATTERNS[len(stamp)])
    raise ObservationError(
        f"expected a time like 20180824181500 as {attributes.group}/{date} and {time}, found {stamp!r}"
    )


def period_minutes(what: Attributes) -> float:
    """Minutes between start and end of a field.

    Raises:
        ObservationError: one is missing, or the end is not after the start.
    """
    begin, end = (odim_time(what, f"{name}date", f"{name}time") for name in ("start", "end"))
    if end <= begin:
        raise ObservationError(f"expected an end after the start {begin}, found {end}")
    return (end - begin).total_seconds() / 60.0
