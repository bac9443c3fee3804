"""Where files may lie: patterns, folders, containers, URLs."""

import bz2
import gzip
import lzma
import os
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray as xr
from radar_files import write_fmi_pgm, write_knmi, write_smhi

from ssldm.errors import ObservationError
from ssldm.radar.archive_build import build_archive
from ssldm.radar.isolation import open_isolated
from ssldm.radar.open import open_radar
from ssldm.radar.sources import partial_name, resolve


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for minute in (0, 5):
        write_knmi(folder, f"2010-08-26T03:{minute:02}", np.full((4, 4), minute))
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> object:
        if "forbidden" in self.path:
            self.send_error(403)
            return None
        return super().send_head()


def test_a_folder_is_read_with_what_lies_below_it(files: Path) -> None:
    (files / "later").mkdir()
    write_knmi(files / "later", "2010-08-26T03:10", np.zeros((4, 4)))
    (files / "README.md").write_text("about these files")
    (files / ".hidden").write_text("")
    assert open_radar(files).sizes["time"] == 3
    assert open_radar([files / "later", str(files / "*.h5")]).sizes["time"] == 3


def test_patterns_reach_below_and_match_folders(files: Path, tmp_path: Path) -> None:
    (files / "later").mkdir()
    write_knmi(files / "later", "2010-08-26T03:10", np.zeros((4, 4)))
    assert open_radar(str(tmp_path / "**" / "*.h5")).sizes["time"] == 3
    assert open_radar(str(tmp_path / "*")).sizes["time"] == 3
    assert open_radar(f"file://{files}").sizes["time"] == 3


CONTAINERS = {
    "a.zip": "",
    "a.tar": "w",
    "a.tar.gz": "w:gz",
    "a.tgz": "w:gz",
    "a.tar.bz2": "w:bz2",
    "a.tbz2": "w:bz2",
    "a.tar.xz": "w:xz",
    "a.txz": "w:xz",
}


@pytest.mark.parametrize("name", list(CONTAINERS))
def test_containers_are_folders(files: Path, tmp_path: Path, name: str) -> None:
    container = tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(container, "w") as archive:
            for path in files.iterdir():
                archive.write(path, f"2010/{path.name}")
    else:
        with tarfile.open(container, CONTAINERS[name]) as archive:
            archive.add(files, "2010")
    xr.testing.assert_identical(open_radar(container), open_radar(files))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files_are_unpacked_whatever_their_name(tmp_path: Path, pack: object) -> None:
    path = write_fmi_pgm(tmp_path, "201609281445", np.array([[0, 255], [124, 64]]))
    expected = open_radar(path)
    plain = gzip.decompress(path.read_bytes())
    path.write_bytes(pack(plain))
    xr.testing.assert_identical(open_radar(path), expected)


def test_urls_are_fetched(files: Path, server: str) -> None:
    name = next(files.glob("*0305.h5")).name
    data = open_radar(f"{server}/in/{name}")
    xr.testing.assert_identical(data, open_radar(files / name))
    xr.testing.assert_identical(open_isolated(f"{server}/in/{name}"), data)
    xr.testing.assert_identical(open_radar(f"{server}/in/{name}?version=2"), data)


def test_a_zip_at_a_url_is_a_folder(files: Path, tmp_path: Path, server: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in files.iterdir():
            archive.write(path, path.name)
    data = open_radar(f"zip://*.h5::simplecache::{server}/a.zip")
    xr.testing.assert_identical(data, open_radar(files))


def test_other_file_systems_are_searched(files: Path) -> None:
    memory = fsspec.filesystem("memory")
    for path in files.iterdir():
        memory.pipe(f"/radar/{path.name}", path.read_bytes())
    xr.testing.assert_identical(open_radar("memory://radar/*.h5"), open_radar(files))
    xr.testing.assert_identical(open_radar("memory://radar"), open_radar(files))


def test_stores_at_a_url_are_read_in_place(files: Path, tmp_path: Path) -> None:
    build_archive(files, tmp_path / "a.zarr")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "a.zarr"), "/stores/a.zarr", recursive=True)
    xr.testing.assert_equal(open_radar("memory://stores/a.zarr"), open_radar(files))


def test_names_survive(files: Path) -> None:
    (item, _) = resolve(files)
    assert item.name == "RAD_NL25_RAP_5min_201008260300.h5"
    with item.local() as path:
        assert path == Path(item.url)


@pytest.mark.parametrize("address", ["/in/{}.h5", "/{}/*.h5", "/{}.zip", "/{}.zarr"])
@pytest.mark.parametrize(("name", "status"), [("none", 404), ("forbidden", 403)])
def test_what_a_server_answers_is_told_with_the_address(
    files: Path, server: str, address: str, name: str, status: int
) -> None:
    url = server + address.format(name)
    with pytest.raises(ObservationError, match=f"the server answered {status}") as refused:
        open_radar(url)
    assert url in str(refused.value)


@pytest.mark.parametrize("address", ["a.h5", "*.h5", "a.zip"])
def test_a_server_that_does_not_answer_is_told_from_one_without_files(address: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/{address}"
        with pytest.raises(ObservationError, match="the server cannot be reached") as refused:
            open_radar(url)
    assert url in str(refused.value)


def test_a_pattern_that_matches_nothing_on_a_server_found_nothing(files: Path, server: str) -> None:
    assert open_radar(f"{server}/in/*.h5").sizes["time"] == 2
    with pytest.raises(ObservationError, match="found nothing at http"):
        open_radar(f"{server}/in/*.nc")


@pytest.mark.parametrize("folder", ["", "stores/a.zarr/"])
@pytest.mark.parametrize("remote", [False, True])
def test_a_zarr_store_in_a_zip_is_that_store(
    files: Path, tmp_path: Path, server: str, folder: str, remote: bool
) -> None:
    build_archive(files, tmp_path / "a.zarr")
    with zipfile.ZipFile(tmp_path / "b.zarr.zip", "w") as archive:
        for path in (tmp_path / "a.zarr").rglob("*"):
            if path.is_file():
                archive.write(path, f"{folder}{path.relative_to(tmp_path / 'a.zarr')}")
    data = open_radar(f"{server}/b.zarr.zip" if remote else tmp_path / "b.zarr.zip")
    xr.testing.assert_equal(data, open_radar(files))


def test_all_places_in_a_zipped_store_are_found(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for place in ("f1", "f2"):
        write_smhi(tmp_path / "in", np.zeros((4, 4, 2), np.uint8), place=place)
    build_archive(tmp_path / "in", tmp_path / "a.zarr")
    with zipfile.ZipFile(tmp_path / "b.zarr.zip", "w") as archive:
        for path in (tmp_path / "a.zarr").rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path / "a.zarr"))
    summary = build_archive(tmp_path / "b.zarr.zip", tmp_path / "c.zarr")
    assert [member.group for member in summary.series] == ["f1", "f2"]


@pytest.mark.parametrize("name", ["a.tar.zst", "a.h5.zst", "a.7z", "a.rar", "a.zarr.tar"])
def test_containers_that_are_not_read_are_refused_by_their_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"(\xb5/\xfd and so on")
    with pytest.raises(ObservationError, match="unpack it first"):
        open_radar(tmp_path / name)


def test_a_compressed_tar_archive_at_a_url_is_refused_by_its_kind(files: Path, server: str) -> None:
    with pytest.raises(ObservationError, match="a compressed tar archive: fetch it first"):
        open_radar(f"{server}/a.tar.bz2")


PARTIAL = [
    "a.h5.part",
    "a.h5.partial",
    "a.h5.TMP",
    "a.temp",
    "a.h5.crdownload",
    "a.h5~",
    ".a.h5",
    ".partial-a.h5",
]


@pytest.mark.parametrize("name", PARTIAL)
def test_files_that_are_being_written_are_left_out_unless_named(files: Path, name: str) -> None:
    whole = sorted(files.glob("*.h5"))
    written = files / name
    written.write_bytes(whole[0].read_bytes())
    assert partial_name(name)
    for source in (files, str(files / "*"), f"file://{files}/*"):
        assert [item.name for item in resolve(source)] == [path.name for path in whole]
    assert [item.name for item in resolve(written)] == [name]
    assert [item.name for item in resolve(f"file://{written}")] == [name]
    assert open_radar(written).sizes["time"] == 1


def test_whole_files_have_no_partial_name(files: Path) -> None:
    assert not any(partial_name(path.name) for path in files.iterdir())


def test_pipes_are_never_waited_for(files: Path) -> None:
    os.mkfifo(files / "pipe.h5")
    assert len(resolve(files)) == 2
    with pytest.raises(ObservationError, match=r"pipe\.h5: expected a file or a folder, found neither"):
        open_radar(files / "pipe.h5")
