"""The windows of an index as columns: the same as one by one, from counts of blocks or pixels, and small."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from test_windows import series

from ssldm.radar.archive import open_archive
from ssldm.radar.archive_build import build_archive
from ssldm.radar.block_counts import BLOCK, COUNTS, OBSERVED, WET, count_blocks
from ssldm.radar.regrid import coarsen
from ssldm.radar.splits import split_by_date
from ssldm.radar.windows import WindowIndex, rescaling, step_minutes_of


def one_by_one(
    given: Sequence[xr.DataArray],
    *,
    frames: int,
    size: int,
    coarsenings: Sequence[float] = (1,),
    rescaled: bool = False,
    least_frames: int | None = None,
    observed: float = 0.5,
) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """Windows of frames of five minutes and their probabilities, without any array of windows."""
    found, weights, groups = [], [], []
    names = sorted({data.attrs["product"] for data in given})
    for number, data in enumerate(given):
        step = step_minutes_of(data) if rescaled else 5.0
        every, factor = rescaling(step, 5.0)
        gaps = np.flatnonzero(np.append(np.diff(data["time"].values) / np.timedelta64(1, "m") != step, True))
        runs = [range(i, gaps[gaps >= i][0] + 1, every)[:frames] for i in range(data.sizes["time"])]
        for coarsening in (factor * each for each in coarsenings):
            masks = (data.values >= 0.1, np.isfinite(data.values))
            wet, seen = (
                coarsen(mask.astype(np.float32), round(64 * coarsening)).astype(float) for mask in masks
            )
            blocks = -(-size // 64)
            for run in (run for run in runs if len(run) >= (least_frames or frames)):
                means = [share[run.start : run.stop : run.step].mean(axis=0) for share in (wet, seen)]
                for i in range(means[0].shape[0] - blocks + 1):
                    for j in range(means[0].shape[1] - blocks + 1):
                        wet_share, seen_share = (
                            mean[i : i + blocks, j : j + blocks].mean() for mean in means
                        )
                        if seen_share >= observed:
                            found.append((number, run[0], 64 * i, 64 * j, coarsening, len(run), every))
                            weights.append(wet_share + 0.02)
                            groups.append(names.index(data.attrs["product"]))
    totals = np.bincount(groups, weights)
    return found, np.asarray(weights) / totals[groups] / np.count_nonzero(totals)


def rain(frames: int, height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = np.where(rng.random((frames, -(-height // 8), -(-width // 8))) < 0.3, rng.gamma(0.5, 2.0), 0.0)
    rate = small.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width].astype(np.float32)
    rate[:, : height // 3, : width // 4] = np.nan
    rate[rng.random(rate.shape) < 0.1] = np.nan
    return rate


@pytest.fixture
def given() -> list[xr.DataArray]:
    gap = [5 * i + (20 if i > 6 else 0) for i in range(14)]
    return [
        series(rain(12, 200, 330, 0), product="b"),
        series(rain(14, 128, 128, 1), gap, product="a"),
        series(rain(10, 130, 400, 2), [10 * i for i in range(10)], product="b"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"frames": 4, "size": 128},
        {"frames": 5, "size": 100, "coarsenings": (1, 1.5), "rescaled": True, "least_frames": 3},
        {"frames": 1, "size": 64, "coarsenings": (1, 1.5, 2, 3), "observed": 0.8},
        {"frames": 12, "size": 190},
    ],
)
def test_columns_hold_what_one_by_one_is_found(given: list[xr.DataArray], options: dict[str, Any]) -> None:
    windows, probability = one_by_one(given, **options)
    index = WindowIndex(given, step_minutes=5, **options)
    assert [
        (w.series, w.start, w.row, w.column, w.coarsening, w.frames, w.every) for w in index.windows
    ] == windows
    assert [window.number for window in index.windows] == list(range(len(windows)))
    np.testing.assert_array_equal(index.probability, probability)
    assert probability.sum() == pytest.approx(1.0)  # also where a product has no windows
    # What is drawn is what the sum of all probabilities, one after the other, says.
    cumulative = np.cumsum(probability)
    for seed in range(200):
        drawn = index.draw(np.random.default_rng(seed)).number
        assert drawn == np.searchsorted(cumulative, np.random.default_rng(seed).random(), side="right")


def test_windows_are_a_sequence(given: list[xr.DataArray]) -> None:
    windows = WindowIndex(given, frames=4, size=64, step_minutes=5).windows
    listed = list(windows)
    assert listed == [windows[i] for i in range(len(windows))]
    assert listed[-3:] == windows[-3:]
    assert windows[-1] == listed[-1]
    with pytest.raises(IndexError):
        windows[len(windows)]


def test_blocks_are_counted_as_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = series(rain(12, 200, 330, 0))
    counts = np.stack([count_blocks(frame) for frame in data.values])
    expected = coarsen((data.values >= 0.1).astype(np.float32), BLOCK)
    np.testing.assert_array_equal(counts[:, 0] / BLOCK**2, expected)
    data.to_netcdf(tmp_path / "a.nc")
    build_archive(tmp_path / "a.nc", tmp_path / "a.zarr")
    archive = open_archive(tmp_path / "a.zarr")
    period = (data["time"].values[3], data["time"].values[10])
    split = split_by_date(archive, {"train": period})["train"]
    options: dict[str, Any] = {"frames": 4, "size": 64, "step_minutes": 5, "coarsenings": (1, 1.5, 2)}
    for kept, pixels in ((archive, [data]), (split, [data.sel(time=slice(*period))])):
        index, expected_index = WindowIndex(kept, **options), WindowIndex(pixels, **options)
        assert list(index.windows) == list(expected_index.windows)
        np.testing.assert_array_equal(index.probability, expected_index.probability)
    # And no frame was read.
    monkeypatch.setattr("ssldm.radar.windows._FrameCache.read", None)
    WindowIndex(split, **options)


def long_archive(path: Path, frames: int, height: int, width: int) -> None:
    """An archive of which there are times and counts of blocks, but no frames."""
    coordinates = {
        "time": np.datetime64("2015-01-01", "ns") + np.arange(frames) * np.timedelta64(5, "m"),
        "y": 1000.0 * np.arange(height)[::-1],
        "x": 1000.0 * np.arange(width),
    }
    xr.Dataset(coords=coordinates).to_zarr(path, zarr_format=2, consolidated=False)
    group = zarr.open_group(path, mode="a", zarr_format=2)
    attributes = {"standard_name": "rainfall_flux", "units": "kg m-2 h-1", "max_rate": 1000.0}
    attributes |= {"_ARRAY_DIMENSIONS": ["time", "y", "x"]}
    shape = (frames, height, width)
    group.create_array(
        "rainfall_rate", shape=shape, chunks=(1, height, width), dtype="float32", attributes=attributes
    )
    blocks = np.random.default_rng(0).integers(0, BLOCK**2, (1, height // BLOCK, width // BLOCK), np.uint16)
    for name in (WET, OBSERVED):
        values = np.broadcast_to(blocks if name == WET else BLOCK**2, (frames, *blocks.shape[1:]))
        group.create_array(
            f"{COUNTS}/{name}", data=values.astype(np.uint16), chunks=(4096, *blocks.shape[1:])
        )
    zarr.consolidate_metadata(path, zarr_format=2)


def test_a_window_of_a_long_archive_takes_twelve_bytes(tmp_path: Path) -> None:
    frames, size, height, width = 100_000, 256, 765, 700
    long_archive(tmp_path / "a.zarr", frames, height, width)
    archive = open_archive(tmp_path / "a.zarr")
    tracemalloc.start()
    index = WindowIndex(archive, frames=20, size=size, step_minutes=5)
    taken, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tiles = (height // 64 - size // 64 + 1) * (width // 64 - size // 64 + 1)
    assert len(index) == tiles * (frames - 19)
    assert taken < 12 * len(index)
    assert most < 12 * len(index) + 300e6  # what is read at once does not grow with the archive
