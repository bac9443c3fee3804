"""Archives: a Zarr store with one chunk a frame, so that any window of an archive is read by itself.

A store holds one series `(time, y, x)` at its root or, for a product of several places (the tiles of
the SMHI windows), one series in a group for each place.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.grid import GRID_MAPPING, latitude_longitude
from ssldm.radar.observations import NAME, check_observations
from ssldm.radar.open import join, read_file, resolve

Progress = Callable[[Iterable[Path]], Iterable[Path]]


def build_archive(
    sources: list[str],
    out: Path,
    *,
    start: np.datetime64 | None = None,
    end: np.datetime64 | None = None,
    progress: Progress = iter,
) -> list[Path]:
    """Write native radar files as an archive; the store appears only when it is complete.

    Args:
        sources: what `open_radar` takes; one product.
        out: the store to make.
        start, end: first and last time to take, both included.
        progress: wraps the iteration over files.

    Returns:
        The stores or groups written.

    Raises:
        ObservationError: the store exists, nothing in the period, or files that do not fit together.
    """
    if out.exists():
        raise ObservationError(f"expected a new archive, found one at {out}")
    places: dict[str, list[xr.DataArray]] = {}
    for path in progress(resolve(sources)):
        frames = read_file(path).sel(time=slice(start, end))
        if frames.sizes["time"]:
            places.setdefault(frames.attrs.get("place", ""), []).append(frames)
    if not places:
        raise ObservationError(f"expected frames between {start} and {end}, found none")
    if len(places) > 1 and "" in places:
        raise ObservationError("expected files of one product, found some with and some without a place")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    for place, parts in places.items():
        _write(join(parts), partial, group=place or None)
    partial.rename(out)
    return [out / place for place in places]


def _write(data: xr.DataArray, store: Path, group: str | None) -> None:
    from zarr.codecs import BloscCodec

    grid = {name: data.coords[name] for name in data.coords if name == GRID_MAPPING}
    dataset = data.drop_vars(list(grid)).to_dataset(name=NAME).assign(grid)
    dataset = dataset.assign_coords(latitude_longitude(data))
    height, width = data.shape[1:]
    encoding: dict[str, Any] = {
        NAME: {
            "chunks": (1, height, width),
            "compressors": (BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle"),),
        }
    }
    dataset.attrs = {"Conventions": "CF-1.11", "license": data.attrs.get("license", "unknown")}
    dataset.to_zarr(store, group=group, mode="a", encoding=encoding, consolidated=False, zarr_format=3)


def open_archive(path: Path) -> list[xr.DataArray]:
    """The series of an archive, lazily: one for a store of one place, else one for each place.

    Raises:
        ObservationError: no archive at ``path``.
    """
    import zarr

    try:
        root = zarr.open_group(path, mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise ObservationError(f"expected an archive, found none at {path}") from error
    groups = [None] if NAME in root else sorted(name for name, _ in root.groups())
    if not groups:
        raise ObservationError(f"expected {NAME!r} in the archive {path}, found {sorted(root)}")
    return [_open_group(path, group) for group in groups]


def _open_group(path: Path, group: str | None) -> xr.DataArray:
    dataset = xr.open_zarr(path, group=group, consolidated=False, chunks=None)
    if NAME not in dataset:
        raise ObservationError(f"expected {NAME!r} in {path}, found {list(dataset.data_vars)}")
    data = dataset[NAME]
    if GRID_MAPPING in dataset:
        data = data.assign_coords({GRID_MAPPING: dataset[GRID_MAPPING]})
    return check_observations(data)


@dataclass(frozen=True)
class ArchiveInfo:
    """What one series of an archive holds."""

    place: str
    period: tuple[np.datetime64, np.datetime64]
    frames: int
    step_minutes: float
    gaps: int
    size: tuple[int, int]
    observed_fraction: float
    wet_fraction: float


def archive_info(path: Path, wet: float = 0.1) -> Iterator[ArchiveInfo]:
    """Period, step, gaps, grid and wet fraction (share of observed pixels ≥ ``wet`` mm/h) of each series."""
    for data in open_archive(path):
        times = data["time"].values
        steps = np.diff(times) / np.timedelta64(1, "m")
        step = float(np.median(steps)) if len(steps) else float("nan")
        observed = wet_pixels = 0
        for i in range(len(times)):
            frame = data[i].values
            observed += int(np.isfinite(frame).sum())
            wet_pixels += int((frame >= wet).sum())
        yield ArchiveInfo(
            place=data.attrs.get("place", ""),
            period=(times[0], times[-1]),
            frames=len(times),
            step_minutes=step,
            gaps=int((steps != step).sum()),
            size=(data.sizes["y"], data.sizes["x"]),
            observed_fraction=observed / data.size,
            wet_fraction=wet_pixels / max(observed, 1),
        )
