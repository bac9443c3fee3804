"""Files below folders and those that patterns match: each once, whatever links lead to it."""

import glob
import os
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ssldm.errors import InputRepaired, ObservationError

ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
# Coordinates, catalogues, masks and notes, which the readers find for themselves.
_COMPANIONS = ("radar_coords_*.npz", "CATALOG.csv", "*.mask", "README*", "*.md")
# What programs call a file while they write it.
_PARTIAL = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", "~")
_LONGEST_NAME = 80


def partial_name(name: str) -> bool:
    """Whether a file of this name is hidden or still being written."""
    return name.startswith(".") or name.lower().endswith(_PARTIAL)


def is_left_out(name: str) -> bool:
    """Whether a file of this name is no radar file, or not yet."""
    return partial_name(name) or any(Path(name).match(pattern) for pattern in _COMPANIONS)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder of files, not a store."""
    try:
        return path.is_dir() and not any((path / mark).exists() for mark in ZARR_MARKS)
    except PermissionError:
        return True  # which is told when it is listed


def exists(path: Path) -> bool:
    """Whether there is anything at a path.

    Raises:
        ObservationError: the system does not say, as of a name that is too long or in a closed folder.
    """
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        name = str(path)
        short = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
        reason = error.strerror if isinstance(error, OSError) else error
        raise ObservationError(f"{short}: cannot be reached ({reason})") from error


def files_below(folder: Path) -> list[Path]:
    """Files and stores below a folder, sorted, less what is hidden, partial or belongs to other files.

    A folder below that may not be listed is left out with an `InputRepaired` warning.

    Raises:
        ObservationError: the folder itself may not be listed.
    """
    return _each_once(file for _, files in _tree(folder) for file in files)


def matching(pattern: str) -> list[Path]:
    """Files, stores and folders that match a pattern, sorted; ``**`` enters every folder once."""
    head, recursive, tail = pattern.partition("**")
    if not recursive or head[-1:] not in {"", "/"} or tail[:1] not in {"", "/"}:
        return _each_once(filter(exists, map(Path, glob.glob(pattern))))  # noqa: PTH207
    bases = [Path(base) for base in glob.glob(head or ".")]  # noqa: PTH207
    if not tail.strip("/"):
        return _each_once(bases)
    folders = [place for base in bases if is_folder(base) for place, _ in _tree(base)]
    return _each_once(path for folder in folders for path in matching(glob.escape(str(folder)) + tail))


def _tree(folder: Path) -> list[tuple[Path, list[Path]]]:
    """A folder and those below it with their files, each once, not by way of a link where there is another.

    Raises:
        ObservationError: the folder itself may not be listed.
    """
    found: dict[str, tuple[Path, list[Path]]] = {}
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        if (real := os.path.realpath(place)) in found:
            continue
        try:
            folders, files = _listed(place)
        except OSError as error:
            if place == folder:
                raise ObservationError(f"{folder}: cannot be listed ({error.strerror})") from error
            message = f"left out {place}, which cannot be listed ({error.strerror})"
            warnings.warn(message, InputRepaired, stacklevel=2)
            folders, files = [], []
        found[real] = place, files
        # From the end: folders before links to folders.
        waiting[:0] = [path for path in folders if path.is_symlink()]
        waiting += [path for path in folders if not path.is_symlink()]
    return list(found.values())


def _listed(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders in a folder, and its files and stores.

    Raises:
        OSError: it may not be listed, or what is in it not be entered.
    """
    folders, files = [], []
    for path in folder.iterdir():
        path.lstat()
        if is_folder(path):
            if not (path.name.startswith(".") or path.suffix == ".partial"):
                folders.append(path)
        elif not is_left_out(path.name) and (path.is_file() or path.is_dir()):
            files.append(path)
    return folders, files


def _each_once(paths: Iterable[Path]) -> list[Path]:
    """Paths in order, without those that lead where another does, by a link or twice."""
    real_folder = cache(os.path.realpath)
    chosen: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: (path.is_symlink(), path)):
        real = os.path.realpath(path) if path.is_symlink() else f"{real_folder(path.parent)}/{path.name}"
        chosen.setdefault(real, path)
    return sorted(chosen.values())
