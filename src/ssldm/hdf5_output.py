"""NetCDF-4 files whose writing ends in an error of Python's when the disk is full or a signal comes."""

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from ssldm.atomic import raising_kept, replacing
from ssldm.signals import send_again

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def replacing_hdf5(path: Path) -> Iterator[io.IOBase]:
    """What `ssldm.atomic.replacing` does, for HDF5: an open file for h5netcdf, h5py or xarray to write to.

    Raises:
        OutputError: what is at ``path`` is no regular file.
        OSError: the first failure to write, such as a full disk.
    """
    with replacing(path) as aside, aside.open("w+b", buffering=0) as opened:
        file = _Remembering(opened)
        with raising_kept(file, path), _signals_wait_for_callbacks():
            yield file


class _Remembering(io.RawIOBase):
    """A file that keeps its first error for later and pretends from then on.

    The HDF5 library crashes the process when it cannot write what it holds back until a file is closed.
    """

    def __init__(self, file: io.FileIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return self.file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def write(self, content: Any) -> int:
        left = memoryview(content).cast("B")
        length = len(left)
        try:
            while left and self.error is None:
                left = left[self.file.write(left) :]
        except OSError as error:
            self.error = error
        return length

    def truncate(self, size: int | None = None) -> int:
        try:
            return self.file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def _signals_wait_for_callbacks() -> Iterator[None]:
    """Let no handler raise while the HDF5 library calls a `_Remembering`: it crashes, or never hears of it.

    A signal that comes then is sent again a moment later.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():  # the only one that handlers run in
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler):
                    signal.signal(number, _between_callbacks(handler))
                    stack.callback(signal.signal, number, handler)
        yield


def _between_callbacks(handler: Callable[[int, FrameType | None], Any]) -> Callable[..., None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if any(code in _CALLBACKS for code in _codes_from(frame)):
            send_again(number)
        else:
            handler(number, frame)

    return handle


def _codes_from(frame: FrameType | None) -> Iterator[CodeType]:
    """What runs, and what called it."""
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


_CALLBACKS = {member.__code__ for member in vars(_Remembering).values() if hasattr(member, "__code__")}
