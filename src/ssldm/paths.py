"""Paths that a caller gives: what they are, what lies there, and whether an output would destroy an input."""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssldm.errors import OutputError, SsldmError


def as_path(value: object, error: type[SsldmError]) -> Path:
    """A path of text or of anything that stands for a path.

    Raises:
        SsldmError: as ``error``, for something else.
    """
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str) and "\0" not in text:
            return Path(text)
    raise error(f"expected a path as text or Path, found {value!r:.80}")


def check_regular_file(path: Path, error: type[SsldmError]) -> None:
    """Refuse what is no file before it is opened: opening a named pipe would wait for ever.

    Raises:
        SsldmError: as ``error``, where there is nothing, or what is no regular file.
    """
    if not path.exists():
        raise error(f"{path}: expected a regular file, found no such file")
    if not path.is_file():
        raise error(f"{path}: expected a regular file, found {kind_of(path)}")


def kind_of(path: Path) -> str:
    """What is at a path, in words."""
    mode = path.stat().st_mode
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a named pipe",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
        stat.S_ISSOCK: "a socket",
        stat.S_ISREG: "a file",
    }
    return next((name for holds, name in kinds.items() if holds(mode)), "something else")


def check_no_source(path: Path, sources: Sequence[str | Path], *, may_lie_in_folder: bool = False) -> None:
    """Refuse an output that would replace what it is made from.

    Args:
        path: of the output.
        sources: files, folders, patterns and addresses as `ssldm.open_radar` takes them; those that are not
            on this machine are passed over.
        may_lie_in_folder: whether what is there may be replaced in a folder that is a source as a whole.

    Raises:
        OutputError: the output is a source, by whatever name or link, or contains one.
    """
    for source in _local(sources):
        lies_within = source.is_dir() and _end(path).is_relative_to(_end(source))
        if _end(source).is_relative_to(_end(path)) or _same(path, source):
            raise OutputError(f"{path}: expected an output apart from the input, found the input {source}")
        if path.exists() and source.is_dir() and not (lies_within and may_lie_in_folder):
            files = (Path(folder) / name for folder, _, names in os.walk(source) for name in names)
            if any(_end(file).is_relative_to(_end(path)) or _same(path, file) for file in files):
                raise OutputError(
                    f"{path}: expected an output apart from the input, found one of the files in {source}"
                )


def absolute_paths(sources: Sequence[str]) -> tuple[str, ...]:
    """Files, stores and addresses under names that mean the same in every folder."""
    return tuple(each if "://" in each else os.path.abspath(each) for each in sources)  # noqa: PTH100


def _local(sources: Sequence[str | Path]) -> Iterator[Path]:
    for source in sources:
        # Of a chain like zip://*.h5::file:///x.zip what is read is the last.
        text = str(source).rpartition("::")[2].removeprefix("file://").removeprefix("local://")
        if "://" in text:
            continue
        if os.path.lexists(text):
            yield Path(text)
        else:
            yield from map(Path, glob.glob(text, recursive=True))  # noqa: PTH207  # as sources are read


def _end(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _same(path: Path, other: Path) -> bool:
    """Whether both names are of one file, hard links among them."""
    return path.exists() and other.exists() and path.samefile(other)
