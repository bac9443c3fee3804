"""Arguments that several commands take."""

from typing import TYPE_CHECKING

from ssldm.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np


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
