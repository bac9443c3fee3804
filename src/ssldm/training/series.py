"""The series of archives that a training is given."""

import hashlib
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import xarray as xr

from ssldm.radar.archive import open_archive
from ssldm.radar.splits import check_disjoint, split_by_event


def open_series(archives: Sequence[Path | str]) -> list[xr.DataArray]:
    """All series of some archives."""
    return [series for archive in archives for series in open_archive(archive)]


def open_products(archives: Sequence[Path | str]) -> list[xr.DataArray]:
    """All series of some archives, of which each archive's count as one product where they are named alike.

    It is then named by the words that their names begin with: the radars of a network, each a series with a
    product of its own, are not to be drawn as often as as many networks.
    """
    series = []
    for archive in archives:
        found = open_archive(archive)
        shared = _shared_words([str(data.attrs.get("product", "unknown product")) for data in found])
        series += [data.assign_attrs(product=shared) if shared else data for data in found]
    return series


def _shared_words(names: Sequence[str]) -> str:
    """The words that all begin with."""
    words = zip(*(name.split() for name in names), strict=False)
    return " ".join(first for first, *_ in takewhile(lambda each: len(set(each)) == 1, words))


def period_of(data: xr.DataArray) -> str:
    """First and last time of a series, in words."""
    first, last = (str(time)[:16] for time in data["time"].values[[0, -1]])
    return f"{first} to {last} UTC"


def identity_of(series: Sequence[xr.DataArray]) -> str:
    """A hash that tells some series from others by what they are of, not by their values."""
    described = [
        (data.attrs.get("product"), data.attrs.get("place"), str(data["time"].values.tobytes()), data.shape)
        for data in series
    ]
    return hashlib.sha256(repr(described).encode()).hexdigest()


def open_splits(
    train: Sequence[Path | str], validation: Sequence[Path | str], hold_out: float = 0.2
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
