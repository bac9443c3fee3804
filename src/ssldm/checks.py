"""Arguments that are checked before anything is computed."""

import math
from collections.abc import Sequence
from operator import index
from typing import SupportsFloat

from ssldm.errors import ConfigurationError


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """A whole number, of Python or NumPy, between two bounds.

    Raises:
        ConfigurationError: something else.
    """
    try:
        number = index(value)  # type: ignore[arg-type]  # a TypeError is what is asked for
    except TypeError:
        number = None
    if isinstance(value, bool) or number is None or not least <= number <= most:
        raise ConfigurationError(f"expected {name} as a whole number from {least} to {most}, found {value!r}")
    return number


def positive(name: str, value: object) -> float:
    """A positive, finite number.

    Raises:
        ConfigurationError: something else.
    """
    number = float(value) if isinstance(value, SupportsFloat) and not isinstance(value, bool) else math.nan
    if not 0.0 < number < math.inf:
        raise ConfigurationError(f"expected {name} as a positive number, found {value!r}")
    return number


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """One of some words.

    Raises:
        ConfigurationError: something else; of a word, the nearest choice is named.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"expected a {name} ({', '.join(choices)}), found {value!r}")
    if value not in choices:
        from ssldm.config import suggestion

        nearest = suggestion(value, choices)
        raise ConfigurationError(f"expected a {name} ({', '.join(choices)}), found {value!r}{nearest}")
    return value
