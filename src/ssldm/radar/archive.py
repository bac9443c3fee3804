"""Archives: a Zarr store with one chunk a frame, so that any window of an archive is read by itself.

A store holds one series `(time, y, x)` at its root or, for several products or places (the tiles of the
SMHI windows), one series in a group for each. Any dataset in the MLCast layout is an archive.
"""

from pathlib import Path

import xarray as xr

from ssldm.errors import ObservationError
from ssldm.radar.block_counts import remember_archive
from ssldm.radar.formats.cf import groups_of, open_store


def open_archive(path: Path | str) -> list[xr.DataArray]:
    """The series of an archive, lazily: one for a store of one place, else one for each place.

    Args:
        path: a folder, or a URL that fsspec opens.

    Raises:
        ObservationError: no archive at ``path``.
    """
    groups = groups_of(str(path))
    try:
        series = [open_store(str(path), group) for group in groups]
    except ObservationError as error:
        raise ObservationError(f"{path}: {error}") from error
    for data, group in zip(series, groups, strict=True):
        remember_archive(data, str(path), group)
    return series
