"""The series of archives that a training is given."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from ssldm.radar.archive import open_archive
from ssldm.radar.splits import check_disjoint, split_by_event


def open_series(archives: Sequence[Path]) -> list[xr.DataArray]:
    """All series of some archives."""
    return [series for archive in archives for series in open_archive(archive)]


def open_splits(
    train: Sequence[Path], validation: Sequence[Path], hold_out: float = 0.2
) -> tuple[list[xr.DataArray], list[xr.DataArray]]:
    """The series to train on and those to validate on.

    Without archives for validation, whole events of the training archives are held out.

    Raises:
        ConfigurationError: frames in both, or no second event to hold out.
    """
    series = open_series(train)
    if not validation:
        split = split_by_event(series, {"train": 1.0 - hold_out, "validation": hold_out})
        return split["train"], split["validation"]
    held = open_series(validation)
    check_disjoint(series, held)
    return series, held
