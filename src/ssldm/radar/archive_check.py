"""Whether an archive is whole: every chunk there and sound, every frame once, and nothing left over.

Zarr takes a chunk that is missing for one without values, so that a frame that was lost reads as unobserved.
"""

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync

from ssldm.radar.block_counts import COUNTS, OBSERVED, WET, count_blocks
from ssldm.radar.formats.cf import groups_of
from ssldm.radar.patience import patiently
from ssldm.radar.store_urls import local_path, zarr_store

Progress = Callable[[Iterable[Any], int], Iterable[Any]]

_AT_ONCE, _BATCH = 16, 64
_EXAMPLES = 3


def check_archive(path: Path | str, progress: Progress = lambda items, _: items) -> list[str]:
    """What is wrong with an archive, a line a finding; nothing of a whole one. Every frame is read.

    Args:
        path: a folder, or a URL that fsspec opens. On the web nothing that is left over is found.
        progress: wraps the iteration over the frames of a series.

    Raises:
        ObservationError: no archive at ``path``.
    """
    findings: list[str] = []
    arrays = []
    for name in groups_of(str(path)):
        group = zarr.open_group(zarr_store(path), path=name or "", mode="r")
        rain = next(array for _, array in group.arrays() if array.ndim >= 3)
        findings += [f"{name}: {line}" if name else line for line in _faults(group, rain, progress)]
        arrays.append(rain)
    return findings + list(_left_over(str(path), arrays))


def _faults(group: Any, rain: Any, progress: Progress) -> Iterator[str]:
    """What is wrong with a series."""
    times = _times(group)
    if len(times) != rain.shape[0]:
        yield f"{rain.shape[0]} frames, but {len(times)} times"
        return
    counts = [group[f"{COUNTS}/{name}"] for name in (WET, OBSERVED)] if COUNTS in group else []
    if any(count.shape[0] != len(times) for count in counts):
        yield f"{len(times)} frames, but counts of blocks of {counts[0].shape[0]}"
        counts = []
    faults: dict[str, list[np.datetime64]] = defaultdict(list)
    faults["not later than the frame before"] = list(times[1:][np.diff(times) <= np.timedelta64(0)])
    seen: dict[bytes, int] = {}
    for i, (fault, digest) in enumerate(progress(_looked_at(rain, counts), len(times))):
        if fault:
            faults[fault].append(times[i])
        elif digest and seen.setdefault(digest, i) != i:
            faults["the same rain as an earlier frame"].append(times[i])
    for fault, found in faults.items():
        if found:
            examples = [str(np.datetime_as_string(time, unit="s")) for time in found[:_EXAMPLES]]
            examples += ["…"] * (len(found) > _EXAMPLES)
            yield f"{fault}: {len(found)} of {len(times)} frames ({', '.join(examples)})"


def _times(group: Any) -> NDArray[np.datetime64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of stores without consolidated metadata
        dataset = xr.open_zarr(group.store, group=group.path or None, chunks=None)
    return np.asarray(dataset["time"].values)


def _looked_at(rain: Any, counts: list[Any]) -> Iterator[tuple[str, bytes]]:
    """Fault and digest of each frame; no digest of one without rain, as these are all alike."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for first in range(0, rain.shape[0], _BATCH):
            some = range(first, min(first + _BATCH, rain.shape[0]))
            kept = np.stack([count[some.start : some.stop] for count in counts], axis=1) if counts else None
            expected = [None] * len(some) if kept is None else list(kept)
            yield from threads.map(lambda i, kept: _look_at(rain, i, kept), some, expected)


def _look_at(rain: Any, i: int, counts: NDArray[np.uint16] | None) -> tuple[str, bytes]:
    pieces = rain.shards or rain.chunks
    others = (range(ceil(size / piece)) for size, piece in zip(rain.shape[1:], pieces[1:], strict=True))
    for place in product([i // pieces[0]], *others):
        key = f"{rain.path}/{rain.metadata.encode_chunk_key(place)}".removeprefix("/")
        if not sync(rain.store.exists(key)):
            return "missing, read as unobserved", b""
    try:
        frame = np.asarray(rain[i])
    except Exception:  # noqa: BLE001 - whatever a codec raises
        return "damaged", b""
    if counts is not None and not np.array_equal(count_blocks(frame), counts):
        return "other than its counts of blocks say", b""
    return "", hashlib.sha256(frame.tobytes()).digest()[:16] if (frame > 0.0).any() else b""


def _left_over(place: str, arrays: list[Any]) -> Iterator[str]:
    """Frames beyond the end of a series, and files that were being written."""
    if place.startswith("http"):
        return
    files, root = fsspec.core.url_to_fs(str(local_path(place) or place))
    names = {path.removeprefix(root).lstrip("/") for path in patiently(lambda: files.find(root))}
    beyond = [name for array in arrays for name in names if _is_beyond(array, name)]
    if beyond:
        yield f"left over of a build that was cut short, and in nobody's way: {len(beyond)} chunks"


def _is_beyond(array: Any, name: str) -> bool:
    """Whether a name is that of a chunk after the last of an array."""
    key = name.removeprefix(f"{array.path}/").removeprefix("c/").replace(".", "/")
    if not name.startswith(f"{array.path}/") and array.path:
        return False
    first = key.partition("/")[0]
    return first.isdigit() and int(first) * (array.shards or array.chunks)[0] >= array.shape[0]
