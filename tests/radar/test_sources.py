"""Where files may lie: patterns, folders, containers, URLs."""

import bz2
import gzip
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
from radar_files import write_fmi_pgm, write_knmi

from ssldm.errors import ObservationError
from ssldm.radar.archive_build import build_archive
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


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_containers_are_folders(files: Path, tmp_path: Path, name: str) -> None:
    container = tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(container, "w") as archive:
            for path in files.iterdir():
                archive.write(path, f"2010/{path.name}")
    else:
        with tarfile.open(container, "w:gz" if name.endswith("gz") else "w") as archive:
            archive.add(files, "2010")
    xr.testing.assert_identical(open_radar(container), open_radar(files))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
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
    with pytest.raises(ObservationError, match="nothing at http"):
        open_radar(f"{server}/in/none.h5")


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
