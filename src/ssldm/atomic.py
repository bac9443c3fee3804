"""Outputs that are there whole or not at all.

Every writer writes aside, under a name of its own in the same folder, and renames at the end: of two that
write one output the last wins, whole, and an error leaves what was there before. What a killed process leaves
behind is hidden and called `.partial-…`; nothing reads it, and it may be deleted.

A symbolic link stays, and what it points to is replaced. An output that is no regular file (a pipe, a device,
a socket, a folder) is refused, never replaced.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from time import sleep
from typing import Protocol

from ssldm.errors import OutputError
from ssldm.paths import kind_of

PARTIAL = ".partial-"
_ATTEMPTS, _PAUSE_SECONDS = 50, 0.05


def check_output(path: Path) -> None:
    """Refuse a file that could not be put in place; for commands to call before they compute anything.

    Raises:
        OutputError: what is there is no regular file, or its folder cannot be written to.
    """
    _check_folder_of(_file_to_replace(path))


def check_folder_output(path: Path, replaceable: Callable[[Path], bool]) -> None:
    """Refuse a folder that could not be put in place, as `check_output` does a file.

    Args:
        path: of the folder to be.
        replaceable: whether a folder that is there may be replaced.

    Raises:
        OutputError: what is there is not to be replaced, or the folder it is in cannot be written to.
    """
    _check_folder_of(_folder_to_replace(path, replaceable))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes its place at the end, or vanishes after an error.

    It gets the permissions of the file that it replaces, or those that the umask leaves.

    Raises:
        OutputError: what is at ``path`` is no regular file.
    """
    target = _file_to_replace(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(target, path.suffix)
    descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        mode = os.fstat(descriptor).st_mode
        os.close(descriptor)
        yield aside
        with suppress(FileNotFoundError):
            mode = _file_to_replace(path).stat().st_mode
        if aside.stat().st_mode != mode:  # some file systems refuse what would change nothing
            aside.chmod(stat.S_IMODE(mode))
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder beside ``path`` to write to, which takes its place at the end, or vanishes after an error.

    Folders cannot change places in one step: for an instant between two renamings there is none.

    Args:
        path: of the folder to be.
        replaceable: whether a folder that is there may be replaced.

    Raises:
        OutputError: what is at ``path`` is not to be replaced.
    """
    target = _folder_to_replace(path, replaceable)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(target, path.suffix)
    aside.mkdir()
    try:
        yield aside
        while not _takes_place(aside, _end_of_links(path), path, replaceable):
            pass  # another writer was quicker with its own, which now goes the same way
    finally:
        _remove(aside)


@contextmanager
def offering_folder(path: Path, otherwise: Callable[[Path], None]) -> Iterator[Path]:
    """A folder beside ``path`` to write to, which takes its place if there is none yet, and else vanishes.

    Of several writers the first wins: a folder that holds something is never replaced.

    Args:
        path: of the folder to be.
        otherwise: called with the folder beside it, where there is one at ``path`` already.

    Raises:
        OutputError: what is at ``path`` is no folder.
    """
    target = _folder_to_replace(path, lambda _: True)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(target, path.suffix)
    aside.mkdir()
    try:
        yield aside
        try:
            aside.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            otherwise(aside)
    finally:
        _remove(aside)


class KeepsError(Protocol):
    """What keeps its first failure to write for later."""

    error: OSError | None


@contextmanager
def raising_kept(output: KeepsError, path: Path) -> Iterator[None]:
    """Raise at the end what an output has kept, naming ``path``, whatever else went wrong because of it.

    Raises:
        OSError: the first failure to write.
    """
    try:
        yield
    finally:
        if output.error is not None:
            raise OSError(output.error.errno, output.error.strerror, str(path)) from output.error


def _remove(folder: Path) -> None:
    """Remove a folder that threads of a library may still write to, after an error in another of them."""
    for _ in range(_ATTEMPTS):
        if not folder.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        sleep(_PAUSE_SECONDS)


def _takes_place(aside: Path, target: Path, path: Path, replaceable: Callable[[Path], bool]) -> bool:
    """Whether a folder got its name; not so where another came there in between."""
    old = _aside(target, ".old")
    with suppress(FileNotFoundError):
        target.rename(old)
    try:
        _check_replaceable(old, path, replaceable)
        aside.rename(target)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            shutil.rmtree(old, ignore_errors=True)
            return False
        with suppress(OSError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return True


def _check_replaceable(old: Path, path: Path, replaceable: Callable[[Path], bool]) -> None:
    """Look again at what was replaceable when the work began, now that nobody else finds it by its name."""
    if old.exists() and not (old.is_dir() and replaceable(old)):
        raise _not_replaceable(path)


def _aside(target: Path, suffix: str) -> Path:
    # The suffix stays, as libraries choose a format by it.
    return target.with_name(f"{PARTIAL}{os.getpid()}-{token_hex(4)}{suffix}")


def _file_to_replace(path: Path) -> Path:
    """Where a file goes that is written to ``path``: itself, or where a symbolic link leads."""
    target = _end_of_links(path)
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: expected a regular file or none to write to, found {kind_of(target)}")
    return target


def _folder_to_replace(path: Path, replaceable: Callable[[Path], bool]) -> Path:
    target = _end_of_links(path)
    if target.exists():
        if not target.is_dir():
            raise OutputError(f"{path}: expected a folder or none to write to, found {kind_of(target)}")
        if not _stays_replaceable(target, replaceable):
            raise _not_replaceable(path)
    return target


def _stays_replaceable(target: Path, replaceable: Callable[[Path], bool]) -> bool:
    """Whether a folder may be replaced; one that another writer exchanges meanwhile is looked at again."""
    while (before := _identity(target)) is not None:
        if replaceable(target):
            return True
        if _identity(target) == before:
            return False
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _not_replaceable(path: Path) -> OutputError:
    return OutputError(
        f"{path}: expected nothing there or what this replaces, found another folder, or files beside it"
    )


def _end_of_links(path: Path) -> Path:
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    # Links of the kind of /dev/stdout lead to what has no name, or no longer the one they say.
    if target.is_symlink() or (path.exists() and not (target.exists() and target.samefile(path))):
        raise OutputError(f"{path}: expected a file to write to, found a symbolic link to none")
    return target


def _check_folder_of(target: Path) -> None:
    """Folders that are missing will be made; the nearest that is there must let files be made in it."""
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{target}: expected a folder at {folder}, found {kind_of(folder)}")
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OutputError(
            f"{target}: expected a folder to write to at {folder} ({error.strerror})"
        ) from error
