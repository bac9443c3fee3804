"""Where files may lie: patterns, folders, containers, URLs."""

import bz2
import gzip
import lzma
import os
import re
import socket
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray as xr
from radar_files import write_fmi_pgm, write_knmi, write_smhi

from ssldm.errors import ConfigurationError, InputRepaired, ObservationError
from ssldm.radar import fetching
from ssldm.radar.archive_build import build_archive
from ssldm.radar.folders import partial_name
from ssldm.radar.isolation import open_isolated
from ssldm.radar.open import open_radar
from ssldm.radar.sources import resolve


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
        if "page" in self.path:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            return BytesIO(b"\n<!DOCTYPE html><html><body>Please log in</body></html>")
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


@pytest.mark.parametrize("address", ["a.h5", "*.h5", "a.zip", "zip://*.h5::simplecache::{}/a.zip"])
def test_a_server_that_accepts_and_says_nothing_is_given_up_and_named(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_PATIENCE_SECONDS", 0.3)
    for protocol in ("http", "https"):
        monkeypatch.delitem(fsspec.config.conf, protocol, raising=False)
    fsspec.get_filesystem_class("simplecache").clear_instance_cache()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(ObservationError, match=r"the server did not answer for 0\.3 s") as refused:
            open_radar(address.format(server) if "{}" in address else f"{server}/{address}")
    assert server in str(refused.value)
    assert time.monotonic() - begin < 10.0


def _zipped(folder: Path, files: Path) -> bytes:
    with zipfile.ZipFile(folder / "whole.zip", "w") as archive:
        for path in files.iterdir():
            archive.write(path, path.name)
    return (folder / "whole.zip").read_bytes()


def _tarred(folder: Path, files: Path, mode: str) -> bytes:
    with tarfile.open(folder / "whole.tar", mode) as archive:
        archive.add(files, "2010")
    return (folder / "whole.tar").read_bytes()


@pytest.mark.parametrize("name", list(CONTAINERS))
@pytest.mark.parametrize("fault", ["cut", "other", "noise"])
def test_damaged_containers_are_called_damaged(files: Path, tmp_path: Path, name: str, fault: str) -> None:
    whole = _tarred(tmp_path, files, CONTAINERS[name]) if CONTAINERS[name] else _zipped(tmp_path, files)
    other = _zipped(tmp_path, files) if CONTAINERS[name] else _tarred(tmp_path, files, "w")
    content = {"cut": whole[: len(whole) // 2], "other": other, "noise": b"no container" * 99}[fault]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ObservationError, match=r"damaged|cannot be read") as refused:
        open_radar(tmp_path / name)
    assert name in str(refused.value)
    assert "cannot be reached" not in str(refused.value)


def test_encrypted_containers_are_called_encrypted(files: Path, tmp_path: Path) -> None:
    content = bytearray(_zipped(tmp_path, files))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + place] |= 1
            at = content.find(mark, at + 1)
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(ObservationError, match=r"a\.zip: encrypted: unpack it first"):
        open_radar(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.h5", "a.zip", "a.tgz"])
@pytest.mark.parametrize("remote", [False, True])
def test_files_without_a_byte_are_called_empty(
    files: Path, tmp_path: Path, server: str, name: str, remote: bool
) -> None:
    if remote and name == "a.tgz":
        pytest.skip("refused at a URL whatever is in it")
    (tmp_path / name).touch()
    with pytest.raises(ObservationError, match=rf"{name}: empty"):
        open_radar(f"{server}/{name}" if remote else tmp_path / name)


def test_packed_nothing_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.h5.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(ObservationError, match=r"a\.h5\.gz: empty"):
        open_radar(tmp_path / "a.h5.gz")


@pytest.mark.parametrize("name", ["page.h5", "page.zip", "page.h5.gz"])
def test_a_web_page_in_place_of_a_file_is_called_one(server: str, name: str) -> None:
    with pytest.raises(ObservationError, match=f"{name}: expected a radar file, found a web page"):
        open_radar(f"{server}/{name}")


def test_a_container_in_a_container_or_a_folder_is_called_one(files: Path, tmp_path: Path) -> None:
    content = _zipped(tmp_path, files)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("inner.zip", content)
    for source in (tmp_path / "outer.zip", [files, tmp_path]):
        with pytest.raises(ObservationError, match="a container in a folder or in a container"):
            open_radar(source)


def test_every_file_counts_once_whatever_links_lead_to_it(files: Path, tmp_path: Path) -> None:
    whole = resolve(files)
    (files / "loop").symlink_to(files)
    (files / "again").symlink_to(tmp_path)
    (files / "itself.h5").symlink_to(files / "itself.h5")
    (files / "latest.h5").symlink_to(whole[-1].url)
    assert resolve(files) == whole
    assert resolve(str(files / "**" / "*.h5")) == whole
    assert resolve(str(files / "**")) == whole
    assert resolve(str(files / "*.h5")) == whole
    assert [item.name for item in resolve(files / "latest.h5")] == ["latest.h5"]


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 3000 + "*.h5"])
def test_names_that_no_system_takes_are_refused(name: str) -> None:
    with pytest.raises(ObservationError, match="cannot be reached") as refused:
        open_radar(name)
    assert len(str(refused.value)) < 300


@contextmanager
def _another_user() -> Iterator[None]:
    """As one to whom permissions apply."""
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(65534)
    try:
        yield
    finally:
        if privileged:
            os.seteuid(0)


def test_a_folder_that_may_not_be_listed_is_left_out_with_a_warning_and_refused_where_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_knmi(folder, "2010-08-26T03:00", np.zeros((4, 4)))
        closed = folder / "closed"
        closed.mkdir()
        write_knmi(closed, "2010-08-26T03:05", np.zeros((4, 4)))
        for mode in (0o000, 0o444):
            closed.chmod(mode)
            with _another_user():
                with pytest.warns(InputRepaired, match=re.escape(str(closed))):
                    items = resolve(folder)
                assert len(items) == 1
                with pytest.raises(ObservationError, match=f"{re.escape(str(closed))}: cannot be listed"):
                    resolve(closed)
                with pytest.raises(ObservationError, match="cannot be reached"):
                    resolve(closed / "RAD_NL25_RAP_5min_201008260305.h5")
        closed.chmod(0o755)


@pytest.mark.parametrize("empty", ["", " ", ["a.h5", ""]])
def test_an_empty_name_is_no_folder(empty: object) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a path, .*, found an empty name"):
        open_radar(empty)  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [[None], [["a.h5"]], [b"a.h5"], b"a.h5", [3]])
def test_what_is_no_path_is_refused(source: object) -> None:
    with pytest.raises(ConfigurationError, match="expected a path, a pattern, a URL"):
        open_radar(source)  # type: ignore[arg-type]


def test_whatever_stands_for_a_path_is_one(files: Path) -> None:
    class Stands:
        def __init__(self, path: Path) -> None:
            self.path = path

        def __fspath__(self) -> str:
            return str(self.path)

    assert resolve(Stands(files)) == resolve([Stands(files)]) == resolve(files)
