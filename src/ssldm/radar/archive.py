"""Archives: a Zarr store with one chunk a frame, so that any window of an archive is read by itself.

A store holds one series `(time, y, x)` at its root or, for several products or places (the tiles of the
SMHI windows), one series in a group for each. Any dataset in the MLCast layout is an archive.
"""

from pathlib import Path

import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.formats.cf import open_store
from ssldm.radar.formats.protocol import ReadOptions


def open_archive(path: Path | str) -> list[xr.DataArray]:
    """The series of an archive, lazily: one for a store of one place, else one for each place.

    Args:
        path: a folder, or a URL that fsspec opens.

    Raises:
        ObservationError: no archive at ``path``.
    """
    import zarr

    try:
        root = zarr.open_group(str(path), mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise ObservationError(f"expected an archive, found none at {path}") from error
    groups = [None] if any(True for _ in root.arrays()) else sorted(name for name, _ in root.groups())
    if not groups:
        raise ObservationError(f"expected observations in the archive {path}, found nothing")
    options = ReadOptions()
    try:
        return [open_store(str(path), group, options) for group in groups]
    except ObservationError as error:
        raise ObservationError(f"{path}: {error}") from error
