"""How an archive lies on disk: the MLCast source-data layout, written frame by frame.

Frames are first laid aside, one compressed Zarr chunk each and the counts of its blocks beside it, in
``OUT.partial/frames``; when all are there they are linked in order of time into a store, which then is
published (`ssldm.radar.archive_target`). No frame is ever read back, and a build that was cut short finds
those of the files that it had finished in ``OUT.partial/journal``.

What is as long as the series (times, counts of blocks) has chunks of a fixed number of frames, so that an
archive can grow while others read it: a chunk that is replaced by a fuller one still serves the shape they
know.
"""

import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc
from numpy.typing import NDArray

from ssldm.atomic import replacing
from ssldm.radar.block_counts import (
    BLOCK,
    COUNT_DIMENSIONS,
    COUNTS,
    DESCRIPTIONS,
    OBSERVED,
    WET,
    count_blocks,
    frames_per_chunk,
)
from ssldm.radar.grid import GRID_MAPPING, geotransform, latitude_longitude, wkt_of
from ssldm.radar.observations import observations_like
from ssldm.radar.times import usual_step

VARIABLE = "rainfall_rate"
# 1 kg m-2 of water is 1 mm: the CF units of a flux, with the numbers of mm/h.
_ATTRIBUTES = {
    "standard_name": "rainfall_flux",
    "long_name": "rain rate",
    "units": "kg m-2 h-1",
    "comment": "1 kg m-2 h-1 of water is 1 mm h-1; NaN is not observed, 0 is observed dry",
}
_CODEC = Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE)
# Of the coordinates of a series, half a mebibyte; one by one they would be thousands of files.
TIMES_PER_CHUNK = 1 << 16
_COUNTS = ".counts"
# Of one frame or file, not of the series.
_PASSING = {"source_files", "frames_interpolated", "notes"}


@dataclass(frozen=True)
class Frame:
    """One frame laid aside.

    Attributes:
        series: its series.
        time: nanoseconds since 1970.
        file: in the folder of frames.
        pixels: how many it had when it was read.
    """

    series: str
    time: int
    file: str
    pixels: int


def _no_times() -> NDArray[np.datetime64]:
    return np.empty(0, "datetime64[ns]")


@dataclass
class Series:
    """The frames of one product, place and grid, in order of time.

    Attributes:
        template: observations without frames: coordinates and attributes.
        group: where in the store the series goes; empty is the root.
        identical: frames that came more than once with the same values.
        conflicting: frames that came more than once with other values; the first was kept.
        not_later: frames that were left out, as they were to be appended and are no later than the archive's.
        missing: times between the first and the last frame that have none.
        before: times of the frames that the archive has already.
        counts_before: ``(2, time, block_y, block_x)``, of those of them whose chunk is not full.
    """

    template: xr.DataArray
    frames: list[Frame]
    group: str = ""
    identical: int = 0
    conflicting: int = 0
    not_later: int = 0
    missing: NDArray[np.datetime64] = field(default_factory=_no_times)
    before: NDArray[np.datetime64] = field(default_factory=_no_times)
    counts_before: NDArray[np.uint16] | None = None

    @property
    def times(self) -> NDArray[np.datetime64]:
        """Times of all frames, UTC."""
        new = np.array([frame.time for frame in self.frames], "datetime64[ns]")
        return np.concatenate([self.before, new])

    @property
    def gaps(self) -> int:
        """How many times the series breaks off and goes on."""
        return count_gaps(self.times, self.missing)


def series_key(data: xr.DataArray) -> str:
    """What distinguishes one series from another: product, place and grid."""
    corners = [round(float(data[axis].values[i]), 2) for axis in "yx" for i in (0, -1)]
    identity = (data.attrs.get("product"), data.attrs.get("place"), data.shape[1:], corners, wkt_of(data))
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def lay_aside(folder: Path, data: xr.DataArray, key: str, name: str, pixels: int) -> list[Frame]:
    """Write the frames of ``data`` into ``folder``, each as it will lie in the store; see `Frame`."""
    place = folder / key
    place.mkdir(parents=True, exist_ok=True)
    if not (header := place / "series.json").exists():
        _write(header, json.dumps(_header(data)).encode())
    frames = []
    for i, time in enumerate(data["time"].values.astype("datetime64[ns]")):
        values = np.ascontiguousarray(data[i].values, np.float32)
        file = f"{key}/{name}-{i}"
        _write(folder / f"{file}{_COUNTS}", zlib.compress(count_blocks(values).tobytes()))
        _write(folder / file, _CODEC.encode(values))
        frames.append(Frame(key, int(time.astype(np.int64)), file, pixels))
    return frames


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as aside:
        aside.write_bytes(content)


def _header(data: xr.DataArray) -> dict[str, Any]:
    return {
        "attributes": {
            k: v for k, v in data.attrs.items() if k not in _PASSING and isinstance(v, str | int | float)
        },
        "crs": wkt_of(data),
        "y": data["y"].values.tolist(),
        "x": data["x"].values.tolist(),
    }


def _template(header: Mapping[str, Any]) -> xr.DataArray:
    return observations_like(header["y"], header["x"], header["crs"], header["attributes"])


def template_of(data: xr.DataArray) -> xr.DataArray:
    """What a series is without its frames."""
    return _template(_header(data))


def collect(folder: Path, frames: Sequence[Frame]) -> list[Series]:
    """The series that frames belong to: sorted, each time once, with what is missing in between."""
    series = []
    by_series: dict[str, list[Frame]] = {}
    for frame in frames:
        by_series.setdefault(frame.series, []).append(frame)
    for key, members in by_series.items():
        found = Series(_template(json.loads((folder / key / "series.json").read_text())), [])
        for frame in sorted(members, key=lambda f: f.time):
            if found.frames and found.frames[-1].time == frame.time:
                same = (folder / frame.file).read_bytes() == (folder / found.frames[-1].file).read_bytes()
                found.identical += same
                found.conflicting += not same
            else:
                found.frames.append(frame)
        found.missing = missing_times(found.times)
        series.append(found)
    for name, member in zip(group_names([s.template for s in series]), series, strict=True):
        member.group = name
    return series


def missing_times(times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Times that a regular series would have as well; the step is the most frequent one."""
    if len(times) < 3:
        return _no_times()
    steps, step = np.diff(times), usual_step(times)
    gaps = [
        np.arange(times[i] + step, times[i + 1] - step // 2, step)
        for i in np.flatnonzero(steps > step + step // 2)
    ]
    return np.concatenate(gaps) if gaps else _no_times()


def count_gaps(times: NDArray[np.datetime64], missing: NDArray[np.datetime64]) -> int:
    """How many stretches the missing times make up between the times that are there."""
    return len(np.unique(np.searchsorted(times, missing)))


def group_names(series: Sequence[xr.DataArray]) -> list[str]:
    """Names of groups of a store, one a series ``(time, y, x)``.

    The root for one series; else the place, and the product and the size where that is not enough.
    """
    if len(series) == 1:
        return [""]
    parts = [
        (data.attrs.get("place", ""), data.attrs["product"], "x".join(map(str, data.shape[1:])))
        for data in series
    ]
    for take in (lambda p: p[0], lambda p: p[1], lambda p: f"{p[0]} {p[1]}", lambda p: f"{p[1]} {p[2]}"):
        names = [re.sub(r"[^\w.]+", "-", take(p)).strip("-") for p in parts]
        if all(names) and len(set(names)) == len(names):
            return names
    return [f"{number:05}" for number in range(len(series))]


def write_store(store: Path, folder: Path, series: Sequence[Series], attributes: Mapping[str, str]) -> None:
    """Link the frames of each series into a Zarr store and write its coordinates and attributes.

    The store is of the second Zarr format: GDAL 3.10 does not read arrays of the third.
    """
    shutil.rmtree(store, ignore_errors=True)
    if any(member.group for member in series):
        zarr.open_group(store, mode="w", zarr_format=2, attributes={"Conventions": "CF-1.11", **attributes})
    for member in series:
        _write_series(store, folder, member, attributes)
    zarr.consolidate_metadata(store, zarr_format=2)


def _write_series(store: Path, folder: Path, series: Series, attributes: Mapping[str, str]) -> None:
    template = series.template
    own = {k: v for k, v in template.attrs.items() if k not in {*_ATTRIBUTES, "license", "grid_mapping"}}
    of_dataset = {k: own.pop(k) for k in ("institution", "mlcast_dataset_identifier") if own.get(k)}
    of_dataset["license"] = template.attrs.get("license", "unknown")
    if len(series.missing):
        # MLCast asks of a series with gaps from when on its step is one and the same.
        of_dataset["consistent_timestep_start"] = str(np.datetime_as_string(series.times[0], unit="s"))
    coordinates = xr.Dataset(
        coords={
            "time": ("time", series.times, {"standard_name": "time", "axis": "T"}),
            "missing_times": (
                "missing_times",
                series.missing,
                {"long_name": "times between the first and the last for which there is no frame"},
            ),
            **{name: coordinate.variable for name, coordinate in template.coords.items() if name != "time"},
            **latitude_longitude(template),
        },
        attrs={"Conventions": "CF-1.11", "title": own["product"], **of_dataset, **attributes},
    )
    times = {"units": "seconds since 1970-01-01", "dtype": "int64"}
    encoding = {name: times | {"chunks": (TIMES_PER_CHUNK,)} for name in ("time", "missing_times")}
    mapping = GRID_MAPPING in template.coords
    if mapping:
        coordinates = coordinates.reset_coords(GRID_MAPPING)
        coordinates[GRID_MAPPING].attrs |= geotransform(coordinates)
    coordinates.to_zarr(
        store, group=series.group or None, mode="a", encoding=encoding, consolidated=False, zarr_format=2
    )
    height, width = template.shape[1:]
    group = zarr.open_group(store, path=series.group, mode="a", zarr_format=2)
    array = group.create_array(
        VARIABLE,
        shape=(len(series.times), height, width),
        chunks=(1, height, width),
        dtype="float32",
        fill_value=np.nan,
        compressors=_CODEC,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        attributes=own
        | _ATTRIBUTES
        | {"_ARRAY_DIMENSIONS": ["time", "y", "x"]}
        | ({"grid_mapping": GRID_MAPPING, "coordinates": "lat lon"} if mapping else {}),
    )
    for i, frame in enumerate(series.frames, start=len(series.before)):
        place = Path(store) / array.path / str(i) / "0"
        place.mkdir(parents=True)
        _link(folder / frame.file, place / "0")
    _write_counts(group, folder, series)


def _write_counts(group: zarr.Group, folder: Path, series: Series) -> None:
    """Write the counts of the blocks of all frames from the first whose chunk was not full."""
    shape = (2, *(size // BLOCK for size in series.template.shape[1:]))
    length = frames_per_chunk(*shape[1:])
    arrays = [
        group.create_array(
            f"{COUNTS}/{name}",
            shape=(len(series.times), *shape[1:]),
            chunks=(length, *(max(size, 1) for size in shape[1:])),
            dtype="uint16",
            fill_value=None,
            compressors=_CODEC,
            attributes={"long_name": DESCRIPTIONS[name], "units": "1", "_ARRAY_DIMENSIONS": COUNT_DIMENSIONS},
            config={"write_empty_chunks": True},
        )
        for name in (WET, OBSERVED)
    ]
    files = [folder / f"{frame.file}{_COUNTS}" for frame in series.frames]
    first = len(series.before) // length * length
    held = np.empty((2, 0, *shape[1:]), np.uint16) if series.counts_before is None else series.counts_before
    while first < len(series.times):
        some = files[: length - held.shape[1]]
        del files[: len(some)]
        new = [np.frombuffer(zlib.decompress(file.read_bytes()), np.uint16).reshape(shape) for file in some]
        held = np.concatenate([held, *(each[:, None] for each in new)], axis=1)
        for array, values in zip(arrays, held, strict=True):
            array[first : first + len(values)] = values
        first, held = first + length, held[:, :0]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
