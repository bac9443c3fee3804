"""What stored numbers mean: values by a factor and an offset, or codes for what is no value."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssldm.errors import ObservationError


def check_factors(gain: float, offset: float) -> tuple[float, float]:
    """The same, once they are known to make values that rise with the stored numbers.

    Raises:
        ObservationError: they do not.
    """
    if not (0.0 < gain < np.inf and np.isfinite(offset)):
        raise ObservationError(f"expected a positive gain and a finite offset, found {gain:g} and {offset:g}")
    return gain, offset


def check_code(name: str, code: float, dtype: np.dtype[Any]) -> None:
    """Nothing, where a code can stand among the stored numbers; NaN among whole numbers is no code at all.

    Raises:
        ObservationError: it cannot, as -1 among bytes, which perhaps means 255: no one knows which pixels.
    """
    if dtype.kind not in "iu" or np.isnan(code):
        return
    limits = np.iinfo(dtype)
    if not (limits.min <= code <= limits.max and code == round(code)):
        raise ObservationError(f"expected a code that {dtype} can hold as {name}, found {code:g}")


def holds(stored: NDArray[Any], code: float) -> NDArray[np.bool_]:
    """Which stored numbers are a code, to the precision that they are stored in."""
    if np.isnan(code):
        return np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, bool)
    return np.asarray(stored == (stored.dtype.type(code) if stored.dtype.kind == "f" else code))
