"""Attributes of HDF5 groups: a missing one is named, and one value is one value however it is stored."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ssldm.errors import ObservationError
from ssldm.radar.formats.protocol import one_value, text


@dataclass(frozen=True)
class Attributes:
    """Attributes that apply to a place in a file.

    Attributes:
        group: the name of the group that they stand in, such as ``what``.
        place: where they apply, such as ``dataset1/data1``; empty for the whole file.
        values: the attributes as h5py gives them; IDL, Matlab and others store arrays of one element.
    """

    group: str
    place: str
    values: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        """An attribute as a string, without what pads it.

        Raises:
            ObservationError: it is missing, or several values.
        """
        return text(self._value(name))

    def number(self, name: str) -> float:
        """An attribute as a number, which may be stored as a string.

        Raises:
            ObservationError: it is missing, several values, or no number.
        """
        value = self._value(name)
        try:
            return float(text(value))
        except ValueError as error:
            raise ObservationError(
                f"expected a number as {self._named(name)}, found {text(value)!r}"
            ) from error

    def finite(self, name: str) -> float:
        """An attribute as a number that is neither NaN nor infinite.

        Raises:
            ObservationError: it is no such number.
        """
        if not math.isfinite(number := self.number(name)):
            raise ObservationError(f"expected a finite number as {self._named(name)}, found {number:g}")
        return number

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise ObservationError(f"expected the attribute {self._named(name)}, found none")
        try:
            return one_value(self.values[name])
        except ObservationError as error:
            raise ObservationError(f"{self._named(name)}: {error}") from error

    def _named(self, name: str) -> str:
        return f"{self.group}/{name}" + (f" of {self.place}" if self.place else "")


def attributes_of(file: Any, group: str, *places: str) -> Attributes:
    """The attributes of ``group`` at each of ``places``, later places before earlier ones.

    Args:
        file: an open HDF5 file.
        group: a group's name, such as ``what``, the same at each place.
        places: paths such as ``dataset1``; empty for the root, which none at all stands for too.
    """
    values: dict[str, Any] = {}
    for place in places or ("",):
        path = f"{place}/{group}" if place else group
        if path in file:
            values |= dict(file[path].attrs)
    return Attributes(group, places[-1] if places else "", values)
