"""Stored numbers that stand for something else than a value: not observed, or nothing detected."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssldm.errors import ObservationError


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
