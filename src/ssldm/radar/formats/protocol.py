"""What a radar format is to the rest of the package."""

from pathlib import Path
from typing import Protocol

import xarray as xr


class RadarFormat(Protocol):
    """A module that reads one product; `open_radar` names the file in whatever error it raises."""

    NAME: str

    def recognise(self, path: Path, head: bytes, /) -> bool:
        """Whether a file whose first bytes are ``head`` is of this format."""
        ...

    def read(self, path: Path, /) -> xr.DataArray:
        """The observations in one file."""
        ...
