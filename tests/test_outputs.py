"""Outputs: there whole or not at all, whoever else writes, and never in the place of what is no file."""

import json
import os
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from forecasts import random_forecast

from ssldm.atomic import check_output, replacing
from ssldm.config import Config
from ssldm.errors import OutputError
from ssldm.forecast.dataset import check_nowcast_output, open_nowcast, write_nowcast
from ssldm.forecast.weights_folder import WEIGHTS, write_weights
from ssldm.plotting import plot_nowcast

HERE = Path(__file__).parent


def fill(path: Path, text: str = "new") -> None:
    with replacing(path) as aside:
        aside.write_text(text)


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def bound_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(path))  # its whole path may be too long for a socket
    return path


def link_to_fifo(path: Path) -> Path:
    path.symlink_to(fifo(path.with_name("pipe")))
    return path


def link_to_itself(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


@pytest.mark.parametrize("make", [fifo, folder, bound_socket, link_to_fifo, link_to_itself])
def test_what_is_no_regular_file_is_refused_and_stays(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / "x.nc")
    before = path.lstat()
    for refuse in (check_output, fill, check_nowcast_output):
        with pytest.raises(OutputError, match=r"x\.nc: expected a .*file"):
            refuse(path)
    after = path.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert not list(tmp_path.glob("*partial*"))


def test_no_writer_replaces_a_pipe(tmp_path: Path) -> None:
    class Nothing(Config):
        """No settings."""

    forecast = random_forecast()
    writers: dict[str, Callable[[Path], object]] = {
        "x.nc": lambda path: write_nowcast(forecast, path),
        "x.zarr": lambda path: write_nowcast(forecast, path),
        "x.png": lambda path: plot_nowcast(forecast, path),
        "x.gif": lambda path: plot_nowcast(forecast, path),
        WEIGHTS: lambda path: write_weights(path.parent, Nothing(), {"a": torch.zeros(1)}),
    }
    for name, write in writers.items():
        pipe = fifo(tmp_path / name)
        with pytest.raises(OutputError, match="named pipe"):
            write(pipe)
        assert stat.S_ISFIFO(pipe.lstat().st_mode)


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_stays_and_what_it_leads_to_is_replaced(there: bool, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    end, link = tmp_path / "elsewhere" / "x", tmp_path / "link"
    if there:
        end.write_text("old")
    link.symlink_to("elsewhere/x")
    check_output(link)
    fill(link)
    assert link.is_symlink()
    assert (end.read_text(), link.read_text()) == ("new", "new")
    assert not end.is_symlink()


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "old"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_permissions_are_those_of_the_file_replaced_or_what_the_umask_leaves(tmp_path: Path) -> None:
    class Nothing(Config):
        """No settings."""

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    with umask(0o027):
        fill(tmp_path / "new")
        write_nowcast(random_forecast(), tmp_path / "new.nc")
        write_weights(tmp_path, Nothing(), {"a": torch.zeros(1)})
        (tmp_path / "old").write_text("old")
        (tmp_path / "old").chmod(0o604)
        fill(tmp_path / "old")
    assert {mode(tmp_path / name) for name in ("new", "new.nc", WEIGHTS)} == {0o640}
    assert mode(tmp_path / "old") == 0o604


def test_folders_are_made_and_those_that_cannot_be_are_told_of_before_anything_is_computed(
    tmp_path: Path,
) -> None:
    check_output(tmp_path / "a" / "b" / "x")
    assert not (tmp_path / "a").exists()
    fill(tmp_path / "a" / "b" / "x")
    for check in (check_output, lambda path: check_nowcast_output(path.with_suffix(".zarr"))):
        with pytest.raises(OutputError, match=r"expected a folder at .*b/x, found a file"):
            check(tmp_path / "a" / "b" / "x" / "y" / "z")
    if os.geteuid():  # the superuser writes anywhere
        (tmp_path / "a").chmod(0o500)
        with pytest.raises(OutputError, match="ermission"):
            check_output(tmp_path / "a" / "x")


_WRITE_OFTEN = """
import sys
from forecasts import random_forecast
from ssldm.forecast.dataset import write_nowcast
forecast = random_forecast(seed=int(sys.argv[2]))
for _ in range(10):
    write_nowcast(forecast, sys.argv[1])
"""


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_of_two_that_write_one_file_the_last_wins_and_it_is_whole_at_any_time(tmp_path: Path) -> None:
    both = set()
    for seed in (0, 1):
        write_nowcast(random_forecast(seed=seed), tmp_path / "x.nc")
        both.add((tmp_path / "x.nc").read_bytes())
    writers = [run(_WRITE_OFTEN, tmp_path / "x.nc", seed) for seed in (0, 1)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add((tmp_path / "x.nc").read_bytes())
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    assert seen == both
    assert [p.name for p in tmp_path.iterdir()] == ["x.nc"]


def test_of_two_that_write_one_store_the_last_wins_whole(tmp_path: Path) -> None:
    writers = [run(_WRITE_OFTEN, tmp_path / "x.zarr", seed) for seed in (0, 1)]
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    stored = open_nowcast(tmp_path / "x.zarr").load()
    assert any(stored.identical(_stored(tmp_path / str(seed), seed)) for seed in (0, 1))
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".zarr" or "partial" in p.name] == ["x.zarr"]


def _stored(place: Path, seed: int) -> object:
    write_nowcast(random_forecast(seed=seed), place / "y.zarr")
    return open_nowcast(place / "y.zarr").load()


_FILL_THE_DISK = """
import json, resource, signal, sys
from pathlib import Path
from forecasts import random_forecast
from ssldm.forecast.dataset import write_nowcast
from ssldm.plotting import plot_nowcast

path = Path(sys.argv[1])
write = plot_nowcast if path.suffix in {".png", ".gif"} else write_nowcast
forecast = random_forecast(members=6, lead_frames=4)
plenty = resource.getrlimit(resource.RLIMIT_FSIZE)
write(forecast, path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ended = []
for limit in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, plenty[1]))
    try:
        write(forecast, path)
        ended.append("written")
    except OSError as error:
        ended.append(str(error))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, plenty)
print(json.dumps(ended))
"""


@pytest.mark.parametrize("name", ["x.nc", "x.zarr", "x.png", "x.gif"])
def test_a_full_disk_is_an_error_of_one_line_and_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    """A limit on the size of files takes the place of a disk: the same calls fail, with another number."""
    write = plot_nowcast if name in {"x.png", "x.gif"} else write_nowcast
    write(random_forecast(members=6, lead_frames=4), tmp_path / "whole" / name)
    files = [p for p in (tmp_path / "whole" / name, *(tmp_path / "whole" / name).rglob("*")) if p.is_file()]
    largest = max(p.stat().st_size for p in files)
    limits = [0, *np.linspace(100, largest - 1, 4).astype(int).tolist()]
    out = tmp_path / "out" / name
    out.parent.mkdir()
    child = run(_FILL_THE_DISK, out, *limits)
    printed, complaints = child.communicate()
    assert child.returncode == 0, complaints
    for said in json.loads(printed.splitlines()[-1]):
        assert "too large" in said
        assert len(said.splitlines()) == 1
    assert [p.name for p in out.parent.iterdir()] == [name]
    for file in files:
        assert file.read_bytes() == (out.parent / file.relative_to(tmp_path / "whole")).read_bytes()
