"""Arguments that several commands take."""

from typing import TYPE_CHECKING

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
    if name not in SAMPLERS:
        raise ConfigurationError(f"expected a sampler ({', '.join(SAMPLERS)}), found {name!r}")


def parse_time(text: str | None) -> "np.datetime64 | None":
    """A time like 2021-05-11T02:30, UTC; None stays None.

    Raises:
        ConfigurationError: something else.
    """
    import numpy as np

    if text is None:
        return None
    try:
        return np.datetime64(text, "ns")
    except ValueError as error:
        raise ConfigurationError(f"expected a time like 2021-05-11T02:30, found {text!r}") from error


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
    if len(numbers) != count:
        raise ConfigurationError(
            f"expected {count} numbers for --{name}, separated by commas, found {text!r}"
        )
    return numbers


def parse_pairs(texts: "Iterable[str]") -> dict[str, str]:
    """Texts like name=value as a dictionary.

    Raises:
        ConfigurationError: a text without an equals sign, a name given twice.
    """
    pairs = [text.partition("=") for text in texts]
    for name, separator, _ in pairs:
        if not separator:
            raise ConfigurationError(f"expected NAME=TEXT, found {name!r}")
    names = [name for name, _, _ in pairs]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"expected different names, found {', '.join(sorted(repeated))} twice")
    return {name: value for name, _, value in pairs}
