"""Training windows in one small file: frames of eight bits, and their motion at coarse places.

What it takes radar archives and pysteps to find is found once; a training needs PyTorch alone and this file,
which is small enough to travel to where an accelerator is.
"""

import json
import lzma
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from ssldm.atomic import replacing
from ssldm.errors import ObservationError
from ssldm.forecast.speckle import remove_speckle
from ssldm.radar.motion import two_motions
from ssldm.radar.observations import pixel_size
from ssldm.radar.units import WET_MM_PER_HOUR
from ssldm.radar.windows import gap_free_runs, rescaling, step_minutes_of
from ssldm.training.packed_series import Opening, PackedSeries, to_codes
from ssldm.training.series import identity_of, period_of

Progress = Callable[[Iterable[Any], int], Iterable[Any]]

# Side of the pieces that composites are cut into beyond this many pixels, and how many of them are kept.
_PIECE, _LARGEST, _MOST_PIECES = 640, 1_200_000, 12
# Of the frames of a piece, on average.
_LEAST_WET = 0.03
# Of values that are so few, each stands for a class of rain rates.
_MOST_CLASSES = 20
# Raised whenever the same windows get other content.
_CONTENT = 1


@dataclass(frozen=True)
class PackConfig:
    """What the windows of a pack are.

    Attributes:
        context, lead: frames of a window.
        least_lead: windows that have fewer lead frames are left out.
        step_minutes: of the forecasts; see `ssldm.radar.windows.rescaling`.
        openings: most starts of windows of a product, spread evenly.
    """

    context: int = 4
    lead: int = 16
    least_lead: int = 8
    step_minutes: float = 5.0
    openings: int = 130


def build_pack(
    series: Sequence[xr.DataArray],
    out: Path,
    config: PackConfig = PackConfig(),
    *,
    progress: Progress = lambda items, _: items,
) -> None:
    """Write the windows of some archives' series.

    Args:
        series: lazily opened, ``(time, y, x)`` in mm/h, with the attribute ``product``.
        out: the file.
        config: what its windows are.
        progress: wraps the iteration over series.

    Raises:
        ObservationError: no windows.
    """
    per_product: dict[str, int] = {}
    for data in series:
        product = str(data.attrs["product"])
        per_product[product] = per_product.get(product, 0) + len(_starts(data, config))
    found: list[PackedSeries] = []
    for data in progress(series, len(series)):
        stride = -(-per_product[str(data.attrs["product"])] // config.openings)
        if starts := _starts(data, config)[:: max(stride, 1)]:
            found += _pieces(data, starts, config)
    if not found:
        raise ObservationError(
            f"expected gap-free windows of {config.context + config.least_lead} frames with rain, found none"
        )
    with replacing(out) as aside:
        aside.write_bytes(_serialised(found, config.context, pack_identity(series, config)))


def pack_identity(series: Sequence[xr.DataArray], config: PackConfig) -> str:
    """What tells the pack of some series from others."""
    return repr({"content": _CONTENT, "windows": asdict(config), "data": identity_of(series)})


def _starts(data: xr.DataArray, config: PackConfig) -> list[range]:
    """The frames of each window in time."""
    step = step_minutes_of(data)
    every, _ = rescaling(step, config.step_minutes)
    frames, least = (config.context + lead for lead in (config.lead, config.least_lead))
    return gap_free_runs(data["time"].values, step, frames, every, least).ranges()


def _pieces(data: xr.DataArray, starts: Sequence[range], config: PackConfig) -> Iterator[PackedSeries]:
    """A series, or the wettest pieces of a large one."""
    rate = np.asarray(data.values, np.float32)
    step = step_minutes_of(data)
    every, factor = rescaling(step, config.step_minutes)
    size = pixel_size(data) * factor * config.step_minutes / (every * step)
    product = str(data.attrs["product"])
    for rows, columns in _cut(rate):
        piece = rate[:, rows, columns]
        openings, motions = [], []
        for times in starts:
            context = piece[times.start : times.stop : times.step][: config.context]
            context = remove_speckle(torch.from_numpy(context)).numpy()
            openings.append(Opening(times.start, len(times), times.step))
            motions.append(two_motions(context).astype(np.float16))
        yield PackedSeries(
            product=product,
            factor=factor,
            codes=to_codes(piece),
            classes=_classes(piece),
            openings=tuple(openings),
            motions=np.stack(motions),
            pixel_size=size,
            period=period_of(data),
        )


def _cut(rate: NDArray[np.float32]) -> list[tuple[slice, slice]]:
    height, width = rate.shape[1:]
    if height * width <= _LARGEST:
        return [(slice(0, height), slice(0, width))]
    wet = (np.nan_to_num(rate, nan=0.0) >= WET_MM_PER_HOUR).mean(axis=0)
    pieces = [
        (float(wet[row : row + _PIECE, column : column + _PIECE].mean()), row, column)
        for row in range(0, height - _PIECE + 1, _PIECE)
        for column in range(0, width - _PIECE + 1, _PIECE)
    ]
    chosen = sorted((piece for piece in pieces if piece[0] >= _LEAST_WET), reverse=True)[:_MOST_PIECES]
    return [(slice(row, row + _PIECE), slice(column, column + _PIECE)) for _, row, column in chosen]


def _classes(rate: NDArray[np.float32]) -> tuple[float, ...]:
    """The rain rates of a series that knows but few."""
    values = np.unique(rate[np.isfinite(rate)])
    return tuple(float(value) for value in values) if len(values) <= _MOST_CLASSES else ()


def _serialised(series: Sequence[PackedSeries], context: int, identity: str) -> bytes:
    """Header (JSON) and compressed arrays, see `read_pack`."""
    header, blobs = [], []
    for each in series:
        parts = {name: lzma.compress(getattr(each, name).tobytes()) for name in ("codes", "motions")}
        header.append(
            {
                "product": each.product,
                "factor": each.factor,
                "classes": each.classes,
                "openings": [asdict(opening) for opening in each.openings],
                "shapes": {name: getattr(each, name).shape for name in parts},
                "bytes": {name: len(blob) for name, blob in parts.items()},
                "pixel_size": each.pixel_size,
                "period": each.period,
            }
        )
        blobs += list(parts.values())
    head = json.dumps({"series": header, "context": context, "identity": identity}).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(blobs)
