"""Where a Zarr store lies: a folder, or a URL that fsspec opens."""

from pathlib import Path
from typing import Any

from ssldm.radar.fetching import prepare_fsspec

_LOCAL = ("file://", "local://")


def local_path(place: Path | str) -> Path | None:
    """A local place as a path, also that of a ``file://`` URL; None for what lies elsewhere."""
    text = str(place)
    for prefix in _LOCAL:
        if text.startswith(prefix):
            return Path(text.removeprefix(prefix))
    return None if "://" in text else Path(text)


def zarr_store(place: Path | str) -> Any:
    """What Zarr opens to read the store at a place."""
    if (path := local_path(place)) is not None:
        return str(path)
    from ssldm.radar.patient_store import PatientStore

    prepare_fsspec(str(place))
    return PatientStore(str(place))
