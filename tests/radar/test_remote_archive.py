"""Archives in an object store that is slow and fails now and then, and on other file systems."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray as xr
from object_store import ObjectStore, serving
from radar_files import write_knmi, write_smhi

from ssldm.errors import ObservationError, OutputError
from ssldm.radar import archive_target
from ssldm.radar.archive import open_archive
from ssldm.radar.archive_build import build_archive
from ssldm.radar.archive_check import check_archive
from ssldm.radar.open import open_radar
from ssldm.radar.windows import WindowIndex

S3 = "s3://radar/years/a.zarr"


def write_frames(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        values = np.random.default_rng(number).integers(0, 300, (64, 96))
        write_knmi(folder, f"2010-08-26T03:{5 * number:02}", values)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return write_frames(tmp_path / "in", range(8))


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """Two frames that are there already, and two after a gap."""
    write_frames(tmp_path / "later", range(6, 8))
    return write_frames(tmp_path / "later", range(9, 11))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An S3 store that answers after 20 ms, and not every fiftieth time."""
    objects = ObjectStore()
    objects.latency, objects.fail_every = 0.02, 50
    monkeypatch.chdir(tmp_path)
    with serving(objects) as objects.address:
        options = {"key": "user", "secret": "secret", "endpoint_url": objects.address}
        monkeypatch.setitem(fsspec.config.conf, "s3", options)
        yield objects


def expected(*folders: Path) -> xr.DataArray:
    return open_radar(sorted({file.name: file for folder in folders for file in folder.iterdir()}.values()))


def test_an_archive_in_an_object_store_is_that_on_disk(
    files: Path, tmp_path: Path, store: ObjectStore
) -> None:
    store.fail_every = 10
    build_archive(files, S3)
    build_archive(files, tmp_path / "a.zarr")
    (remote,), (local,) = open_archive(S3), open_archive(tmp_path / "a.zarr")
    xr.testing.assert_identical(remote.load(), local.load())
    assert check_archive(S3) == []
    assert store.failures > 0
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(ObservationError, match="expected a new archive"):
        build_archive(files, S3)


def test_a_web_server_is_read_and_not_written_to(files: Path, store: ObjectStore) -> None:
    build_archive(files, S3)
    store.fail_every = 5
    (data,) = open_archive(f"{store.address}/radar/years/a.zarr")
    xr.testing.assert_equal(data, expected(files))
    with pytest.raises(ObservationError, match="expected an archive"):
        open_archive(f"{store.address}/radar/years/b.zarr")
    with pytest.raises(OutputError, match="can only be read"):
        build_archive(files, f"{store.address}/radar/years/b.zarr")


@pytest.mark.parametrize("place", ["memory://archives/a.zarr", "file://{}/a.zarr"])
def test_other_urls_are_archives_too(
    place: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = place.format(tmp_path)
    build_archive(files, place)
    try:
        xr.testing.assert_equal(*open_archive(place), expected(files))
        assert check_archive(place) == []
    finally:
        fsspec.core.url_to_fs(place)[0].rm(place.partition("://")[2], recursive=True)


def test_windows_of_an_object_store_are_those_on_disk_in_any_worker(
    files: Path, tmp_path: Path, store: ObjectStore
) -> None:
    from torch.utils.data import DataLoader

    from ssldm.training.latent_cache import WindowDataset

    build_archive(files, S3)
    build_archive(files, tmp_path / "a.zarr")
    remote, local = (
        WindowDataset(WindowIndex(open_archive(place), frames=3, size=64, step_minutes=5), 2, seed=0, count=6)
        for place in (S3, tmp_path / "a.zarr")
    )
    remote.index.read(remote.index.windows[0])  # a connection that no worker can use
    for number, window in enumerate(DataLoader(remote, batch_size=None, num_workers=2)):
        np.testing.assert_array_equal(window["rate"], local[number]["rate"])


def test_a_build_that_is_cut_short_leaves_no_archive_and_puts_nothing_twice(
    files: Path, store: ObjectStore
) -> None:
    store.latency, store.fail_every, store.broken_after = 0.0, 0, 5
    with pytest.raises(OutputError, match=r"s3://radar/years/a\.zarr: "):
        build_archive(files, S3)
    with pytest.raises(ObservationError, match="expected an archive"):
        open_archive(S3)
    store.broken_after = None
    build_archive(files, S3)
    assert len(store.puts) == len(set(store.puts)) == len(store.objects)
    xr.testing.assert_equal(*open_archive(S3), expected(files))


def test_what_was_put_and_taken_away_is_put_again(files: Path, store: ObjectStore) -> None:
    store.latency, store.fail_every, store.broken_after = 0.0, 0, 10
    with pytest.raises(OutputError):
        build_archive(files, S3)
    store.objects.clear()
    store.broken_after = None
    build_archive(files, S3)
    assert check_archive(S3) == []


def test_an_archive_grows(files: Path, later: Path, tmp_path: Path, store: ObjectStore) -> None:
    for place in (S3, str(tmp_path / "a.zarr")):
        build_archive(files, place)
        summary = build_archive(later, place, append=True)
        (series,) = summary.series
        assert (len(series.frames), series.not_later, series.gaps) == (2, 2, 1)
        xr.testing.assert_equal(*open_archive(place), expected(files, later))
        assert check_archive(place) == []
        root = xr.open_zarr(place)
        assert root.attrs["history"].count("\n") == 1
        assert root["missing_times"].values == np.datetime64("2010-08-26T03:40")
        assert len(build_archive(files, place, append=True).series[0].frames) == 0
    # As if it had been built at once.
    build_archive([files, later], tmp_path / "b.zarr")
    for name in ("rainfall_rate", "block_counts", "time", "missing_times"):
        one, other = (files_below(tmp_path / place / name) for place in ("a.zarr", "b.zarr"))
        assert one == other


def files_below(folder: Path) -> dict[str, object]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): json.loads(path.read_text())
        if path.name == ".zattrs"
        else path.read_bytes()
        for path in files
    }


@contextmanager
def failing_after(
    files: int, place: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let so many files or objects be written, then none."""
    with monkeypatch.context() as patch:
        if place == S3:
            store.broken_after = len(store.puts) + files
        else:
            written = iter(range(files))
            real = archive_target.replacing

            def replacing(path: Path) -> object:
                if next(written, None) is None:
                    raise OutputError("the disk is full")
                return real(path)

            patch.setattr(archive_target, "replacing", replacing)
        yield
    store.broken_after = None


# In an object store each attempt goes on where the one before ended.
@pytest.mark.parametrize(
    ("place", "attempts"), [(S3, (0, 1, 1, 2, 3, 5, 8, 8)), ("a.zarr", (0, 1, 2, 4, 7, 12, 20, 28))]
)
def test_an_archive_that_did_not_grow_to_its_end_is_as_it_was(
    place: str,
    attempts: tuple[int, ...],
    files: Path,
    later: Path,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.latency, store.fail_every = 0.0, 0
    build_archive(files, place)
    (reader,) = open_archive(place)  # that stays open meanwhile
    for written in attempts:
        with failing_after(written, place, store, monkeypatch), pytest.raises(OutputError):
            build_archive(later, place, append=True)
        xr.testing.assert_equal(*open_archive(place), expected(files))
        index = WindowIndex(open_archive(place), frames=8, size=64, step_minutes=5)
        assert {window.start for window in index.windows} == {0}
    assert [finding.partition(":")[0] for finding in check_archive(place)] == [
        "left over of a build that was cut short, and in nobody's way"
    ]
    build_archive(later, place, append=True)
    xr.testing.assert_equal(*open_archive(place), expected(files, later))
    xr.testing.assert_equal(reader, expected(files))
    assert check_archive(place) == []


def test_an_archive_grows_by_its_own_series_only(files: Path, tmp_path: Path) -> None:
    for place in ("f1", "f2"):
        write_smhi(tmp_path, np.zeros((4, 4, 2), np.uint8), place=place)
    tiles = sorted(tmp_path.glob("*.npy"))
    build_archive(tiles, tmp_path / "tiles.zarr")
    with pytest.raises(ObservationError, match=r"expected frames of .* to append to .*, found .*KNMI"):
        build_archive(files, tmp_path / "tiles.zarr", append=True)
    with pytest.raises(ObservationError, match="expected an archive to append to, found none"):
        build_archive(files, tmp_path / "a.zarr", append=True)
    write_smhi(tmp_path, np.arange(32, dtype=np.uint8).reshape(4, 4, 2), start="2021-05-11T03:00", place="f2")
    build_archive([*set(tmp_path.glob("*.npy")) - set(tiles)], tmp_path / "tiles.zarr", append=True)
    assert [data.sizes["time"] for data in open_archive(tmp_path / "tiles.zarr")] == [2, 4]
    assert check_archive(tmp_path / "tiles.zarr") == []


def test_an_archive_of_others_does_not_grow(files: Path, tmp_path: Path) -> None:
    build_archive(files, tmp_path / "a.zarr")
    xr.open_zarr(tmp_path / "a.zarr").drop_encoding().to_zarr(tmp_path / "b.zarr")
    with pytest.raises(ObservationError, match="expected an archive that can grow"):
        build_archive(files, tmp_path / "b.zarr", append=True)


def test_a_check_finds_what_is_missing_damaged_and_twice(files: Path, tmp_path: Path) -> None:
    place = tmp_path / "a.zarr"
    build_archive(files, place)
    chunk = place / "rainfall_rate"
    (chunk / "1/0/0").unlink()
    (chunk / "2/0/0").write_bytes((chunk / "2/0/0").read_bytes()[:-100])
    (chunk / "4/0/0").write_bytes((chunk / "3/0/0").read_bytes())
    (chunk / "8/0").mkdir(parents=True)
    (chunk / "8/0/0").write_bytes(b"")
    found = check_archive(place)
    assert {finding.partition(" frames (")[0] for finding in found} == {
        "missing, read as unobserved: 1 of 8",
        "damaged: 1 of 8",
        "other than its counts of blocks say: 1 of 8",
        "left over of a build that was cut short, and in nobody's way: 1 chunks",
    }
    assert any("damaged: 1 of 8 frames (2010-08-26T03:10:00)" in finding for finding in found)


def test_a_check_finds_frames_that_repeat_others(tmp_path: Path) -> None:
    rate = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    rate[3], rate[1] = rate[2], 0.0
    minutes = np.array([0, 5, 5, 10]) * np.timedelta64(1, "m")
    dataset = xr.Dataset(
        {"rainfall_rate": (("time", "y", "x"), rate, {"units": "mm h-1", "standard_name": "rainfall_flux"})},
        coords={
            "time": np.datetime64("2020-01-01", "ns") + minutes,
            "y": np.arange(8.0),
            "x": np.arange(8.0),
        },
    )
    dataset.to_zarr(tmp_path / "a.zarr", encoding={"rainfall_rate": {"chunks": (1, 4, 4)}})
    assert check_archive(tmp_path / "a.zarr") == [
        "not later than the frame before: 1 of 4 frames (2020-01-01T00:05:00)",
        "the same rain as an earlier frame: 1 of 4 frames (2020-01-01T00:10:00)",
    ]
