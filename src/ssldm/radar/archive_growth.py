"""Series of an archive that new frames are appended to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
import zarr

from ssldm.errors import ObservationError
from ssldm.radar.archive import open_archive
from ssldm.radar.archive_store import (
    TIMES_PER_CHUNK,
    VARIABLE,
    Series,
    missing_times,
    series_key,
    template_of,
)
from ssldm.radar.block_counts import COUNTS, OBSERVED, WET, frames_per_chunk, group_of
from ssldm.radar.store_urls import zarr_store

# Those of the first build stay.
_OF_NOW = ("history", "mlcast_dataset_version", "refused_files")


def grown(place: str, new: Sequence[Series]) -> list[Series]:
    """All series of an archive, with those new frames that are later than its own.

    Args:
        place: of the archive.
        new: series of new frames only.

    Raises:
        ObservationError: no archive, one that cannot grow, or frames of none of its series.
    """
    root = zarr.open_group(zarr_store(place), mode="r")
    found = [_held(root, data) for data in open_archive(place)]
    held = {series_key(series.template): series for series in found}
    for series in new:
        key = series_key(series.template)
        if key not in held:
            raise ObservationError(
                f"expected frames of {', '.join(_named(each) for each in found)} to append to {place}, "
                f"found {_named(series)}, or another grid"
            )
        held[key] = _with(held[key], series)
    return list(held.values())


def merged_attributes(place: str, new: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of an archive, to which an append adds its line of history and its refused files."""
    old = dict(zarr.open_group(zarr_store(place), mode="r").attrs)
    old.pop("coordinates", None)  # of xarray's, which writes them again
    refused = [*json.loads(str(old.get("refused_files", "[]"))), *json.loads(new["refused_files"])]
    merged = {
        "history": f"{old.get('history', '')}\n{new['history']}",
        "refused_files": json.dumps(refused),
    }
    return old | {name: merged.get(name, new[name]) for name in _OF_NOW}


def _held(root: zarr.Group, data: xr.DataArray) -> Series:
    """A series that is there, without its frames."""
    group = group_of(data)
    node = root[group] if group else root
    if VARIABLE not in node or COUNTS not in node or node["time"].chunks != (TIMES_PER_CHUNK,):
        raise ObservationError(
            "expected an archive that can grow, found one of others or of an earlier version: "
            f"build a new one from {root.store}"
        )
    times = data["time"].values
    counts = [node[f"{COUNTS}/{name}"] for name in (WET, OBSERVED)]
    length = frames_per_chunk(*counts[0].shape[1:])
    last = slice(len(times) // length * length, len(times))
    return Series(
        template_of(data),
        [],
        group,
        missing=missing_times(times),
        before=times.astype("datetime64[ns]"),
        counts_before=np.stack([count[last] for count in counts]),
    )


def _with(held: Series, new: Series) -> Series:
    """A series with those new frames that are later than its own."""
    last = int(held.before[-1].astype(np.int64))
    later = [frame for frame in new.frames if frame.time > last]
    found = replace(
        new,
        template=held.template,
        frames=later,
        group=held.group,
        before=held.before,
        counts_before=held.counts_before,
        not_later=len(new.frames) - len(later),
    )
    found.missing = missing_times(found.times)
    return found


def _named(series: Series) -> str:
    attributes = series.template.attrs
    return " ".join(filter(None, (attributes.get("product"), attributes.get("place"))))
