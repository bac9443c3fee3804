"""A series of radar frames as a training takes it along: see `ssldm.training.pack`."""

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssldm.errors import ObservationError
from ssldm.paths import check_regular_file

# Code 0 is dry, 255 unobserved; between them quarters of a decibel of rain rate.
UNOBSERVED, _FIRST_DECIBEL, _STEP = 255, -13.0, 0.25
_LONGEST_HEADER = 1 << 26


@dataclass(frozen=True)
class Opening:
    """Where a window of time begins: its first frame, how many there are, and every which is taken."""

    start: int
    frames: int
    every: int


@dataclass(frozen=True)
class PackedSeries:
    """Frames and the motion of their windows.

    Attributes:
        product: what it is of.
        factor: least side of the blocks of pixels to average, so that rain moves as in the forecasts' time
            step.
        codes: ``(t, h, w)`` of eight bits, see `to_codes`.
        classes: the few rain rates in mm/h that there are, where each stands for a class; else empty.
        openings: windows of time.
        motions: ``(n, 2, 2, h', w')`` in pixels a frame of the window, x then y, of each window's context:
            tracked, and the mean of two estimates, at every
            `ssldm.radar.motion.SPACING`-th pixel.
        pixel_size: in metres, once averaged, and as if frames followed in the forecasts' time step.
        period: first and last time, in words.
    """

    product: str
    factor: int
    codes: NDArray[np.uint8]
    classes: tuple[float, ...]
    openings: tuple[Opening, ...]
    motions: NDArray[np.float16]
    pixel_size: float | None = None
    period: str = ""


@dataclass(frozen=True)
class PackHeader:
    """What stands before the arrays of a pack.

    Attributes:
        series: all but the arrays of each `PackedSeries`, and the shapes and lengths of these.
        start: where the arrays begin.
        context: frames that the motion was estimated from.
        identity: see `ssldm.training.pack.pack_identity`.
    """

    series: list[dict[str, Any]]
    start: int
    context: int = 4
    identity: str = ""


def to_codes(rate: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Codes of rain rates in mm/h; NaN is unobserved."""
    decibel = 10.0 * np.log10(np.maximum(rate, 1e-6))
    steps = 1.0 + np.clip(np.rint((decibel - _FIRST_DECIBEL) / _STEP), -1.0, UNOBSERVED - 2)
    return np.where(np.isnan(rate), UNOBSERVED, steps).astype(np.uint8)


def rates_of_codes() -> NDArray[np.float32]:
    """Rain rate in mm/h of each of the 256 codes."""
    rate = 10.0 ** ((_FIRST_DECIBEL + _STEP * (np.arange(256) - 1.0)) / 10.0)
    rate[0], rate[UNOBSERVED] = 0.0, np.nan
    return rate.astype(np.float32)


def read_pack(path: Path) -> list[PackedSeries]:
    """All series of a pack.

    Raises:
        ObservationError: see `read_header`.
    """
    header = read_header(path)
    try:
        return list(_series(header, path.read_bytes()))
    except (lzma.LZMAError, EOFError, ValueError, LookupError, TypeError) as error:
        raise _damaged(path, error) from error


def read_header(path: Path) -> PackHeader:
    """What a pack holds.

    Raises:
        ObservationError: no pack, or a damaged one.
    """
    check_regular_file(path, ObservationError)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            content = json.loads(file.read(min(length, _LONGEST_HEADER)))
        parts = content if isinstance(content, dict) else {"series": content}
        return PackHeader(start=8 + length, **parts)
    except (ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ObservationError:
    return ObservationError(f"{path}: not a pack, or a damaged one ({type(error).__name__})")


def _series(header: PackHeader, data: bytes) -> Iterator[PackedSeries]:
    start = header.start
    for each in header.series:
        arrays = {}
        for name, kind in (("codes", np.uint8), ("motions", np.float16)):
            end = start + each["bytes"][name]
            arrays[name] = np.frombuffer(lzma.decompress(data[start:end]), kind).reshape(each["shapes"][name])
            start = end
        openings = tuple(Opening(**opening) for opening in each["openings"])
        yield PackedSeries(
            each["product"],
            each["factor"],
            classes=tuple(each["classes"]),
            openings=openings,
            pixel_size=each.get("pixel_size"),
            period=each.get("period", ""),
            **arrays,
        )
