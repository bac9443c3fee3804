"""Arguments that several commands take."""

import warnings
from math import isfinite
from typing import TYPE_CHECKING

from ssldm.checks import one_of
from ssldm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

SAMPLERS = ("dpm-solver++", "ddim", "unipc", "ddpm")


def check_sampler(name: str) -> None:
    """Refuse what is not in `SAMPLERS`.

    Raises:
        ConfigurationError: it is not.
    """
    one_of("sampler", name, SAMPLERS)


def check_device(name: str) -> None:
    """Refuse what PyTorch has no device of that name for.

    Raises:
        ConfigurationError: it has none.
    """
    import torch

    try:
        torch.device("cpu" if name == "auto" else name)
    except RuntimeError as error:
        raise ConfigurationError(f"expected a device (auto, cpu, cuda, …), found {name!r}") from error


def parse_time(text: str | None) -> "np.datetime64 | None":
    """A time like 2021-05-11T02:30, UTC; None stays None.

    Raises:
        ConfigurationError: something else.
    """
    import numpy as np

    if text is None:
        return None
    fault = f"expected a time like 2021-05-11T02:30, found {text!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zones, which become UTC
            time = np.datetime64(text, "ms")
    except ValueError as error:
        raise ConfigurationError(fault) from error
    # Counted in nanoseconds, other years would silently become these.
    if not np.datetime64("1678") < time < np.datetime64("2262"):
        raise ConfigurationError(fault)
    return np.datetime64(time.item(), "ns")


def parse_numbers(text: str | None, name: str, count: int) -> list[float] | None:
    """Numbers like 4.5,52 for an option; None stays None.

    Raises:
        ConfigurationError: something else, or more or fewer of them.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(isfinite, numbers)):
        raise ConfigurationError(
            f"expected {count} numbers for --{name}, separated by commas, found {text!r}"
        )
    return numbers


def parse_box(text: str | None, name: str) -> tuple[float, float, float, float] | None:
    """West, south, east and north of an option; None stays None.

    West may lie east of east where the way across 180° is the shorter one.

    Raises:
        ConfigurationError: something else, or a box of nothing.
    """
    if (numbers := parse_numbers(text, name, 4)) is None:
        return None
    west, south, east, north = numbers
    across = -180.0 <= east < 0.0 < west <= 180.0 and east + 360.0 - west < 180.0
    if north <= south or (east <= west and not across):
        raise ConfigurationError(f"expected west < east and south < north for --{name}, found {text!r}")
    return west, south, east, north


def check_finite(number: float | None, name: str) -> None:
    """Refuse what is no number, for an option.

    Raises:
        ConfigurationError: infinite, or not a number.
    """
    if number is not None and not isfinite(number):
        raise ConfigurationError(f"expected a finite number for --{name}, found {number}")


def parse_share(text: str | None, name: str) -> tuple[int, int] | None:
    """Numbers like 7/100 of an option, the first from 1 to the second; None stays None.

    Raises:
        ConfigurationError: something else.
    """
    if text is None:
        return None
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise ConfigurationError(f"expected --{name} like 7/100, found {text!r}")
    return int(number), int(of)


def parse_pairs(texts: "Iterable[str]") -> dict[str, str]:
    """Texts like name=value as a dictionary.

    Raises:
        ConfigurationError: a text without an equals sign, a name given twice.
    """
    pairs = [text.partition("=") for text in texts]
    for name, separator, value in pairs:
        if not separator or not name:
            raise ConfigurationError(f"expected NAME=TEXT, found {name + separator + value!r}")
    names = [name for name, _, _ in pairs]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"expected different names, found {', '.join(sorted(repeated))} twice")
    return {name: value for name, _, value in pairs}
