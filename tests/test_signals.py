"""Signals are heard, but not inside what cannot bear an exception."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import pytest

from ssldm.hdf5_output import replacing_hdf5

_IN_A_DESTRUCTOR = """
import signal, time
from ssldm.signals import hear_where_ignored

class Ending:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)

hear_where_ignored({KeyboardInterrupt: signal.SIGINT})
Ending()
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("heard")
"""


class _Interrupted(io.FileIO):
    """A file whose first write is interrupted."""

    writes = 0
    busy = False

    def write(self, content: Any) -> int:
        self.writes += 1
        self.busy = True
        if self.writes == 1:
            signal.raise_signal(signal.SIGINT)
        self.busy = False
        return super().write(content)


def test_an_interrupt_waits_until_the_hdf5_library_has_written(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    busy: list[bool] = []
    interrupted: _Interrupted

    def handle(*_: object) -> None:
        busy.append(interrupted.busy)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def write() -> None:
        nonlocal interrupted
        with replacing_hdf5(tmp_path / "a.nc") as file:
            interrupted = _Interrupted(file.file.fileno(), "r+", closefd=False)  # type: ignore[attr-defined]
            file.file = interrupted  # type: ignore[attr-defined]
            with h5py.File(file, "w") as written:
                written["a"] = 1
                written.flush()
                time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert busy == [False]
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGINT) is handle


def test_an_interrupt_that_a_destructor_swallows_comes_again() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _IN_A_DESTRUCTOR], capture_output=True, text=True, timeout=50, check=True
    )
    assert told.stdout == "heard\n"
    assert not told.stderr
