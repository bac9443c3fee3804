"""Statistics of one window in one file of arrays: NetCDF takes longer for a hundred of them than a forecast.

A file holds the arrays of each contestant as ``CONTESTANT/VARIABLE`` and, in JSON, how they form a dataset.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import xarray as xr

from ssldm.atomic import replacing

_HEADER = "header"


def write_statistics(path: Path, statistics: Mapping[str, xr.Dataset], depends_on: str) -> None:
    """Write the statistics of all contestants, aside and then renamed.

    Args:
        path: ends in `.npz`.
        statistics: of each contestant, by its name.
        depends_on: hash of all that they depend on.
    """
    arrays = {
        f"{name}/{variable}": dataset[variable].values
        for name, dataset in statistics.items()
        for variable in dataset.variables
    }
    layout = {name: dataset.to_dict(data=False) for name, dataset in statistics.items()}
    header = json.dumps({"depends_on": depends_on, "layout": layout})
    with replacing(path) as aside, aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_HEADER: np.array(header)}, **arrays)


def read_statistics(path: Path) -> dict[str, xr.Dataset]:
    """The statistics of each contestant, as `write_statistics` was given them.

    Args:
        path: of its file.
    """
    with np.load(path, allow_pickle=False) as found:
        layout = json.loads(str(found[_HEADER]))["layout"]
        for name, dataset in layout.items():
            for variable, described in [*dataset["coords"].items(), *dataset["data_vars"].items()]:
                described["data"] = found[f"{name}/{variable}"]
    return {name: xr.Dataset.from_dict(dataset) for name, dataset in layout.items()}


def key_of_statistics(path: Path) -> str | None:
    """What a file depends on; None where there is none, or one that cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as found:
            header: dict[str, Any] = json.loads(str(found[_HEADER]))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    return str(header["depends_on"])
