"""NetCDF-4 files that end in an error of Python's when the disk is full."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssldm.atomic import raising_kept, replacing


@contextmanager
def replacing_hdf5(path: Path) -> Iterator[io.IOBase]:
    """What `ssldm.atomic.replacing` does, for HDF5: an open file for h5netcdf, h5py or xarray to write to.

    Raises:
        OutputError: what is at ``path`` is no regular file.
        OSError: the first failure to write, such as a full disk.
    """
    with replacing(path) as aside, aside.open("w+b", buffering=0) as opened:
        file = _Remembering(opened)
        with raising_kept(file, path):
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
