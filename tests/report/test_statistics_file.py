"""Statistics are read as they were written, or known to be cut short."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ssldm.report.statistics_file import key_of_statistics, read_statistics, write_statistics


@pytest.fixture
def statistics() -> dict[str, xr.Dataset]:
    one = xr.Dataset(
        {
            "sums": (("lead_time", "term"), np.array([[1.0, np.nan], [0.1, -np.inf]]), {"units": "mm/h"}),
            "count": ((), np.int64(2**62)),
            "nothing": (("tile",), np.empty(0, np.float32)),
        },
        coords={"term": ["plain", "fair"], "wet": ("tile", np.empty(0, bool))},
        attrs={"notes": '["fell back"]'},
    )
    return {"one": one, "other-1.0": one[["count"]].assign_attrs(notes="[]")}


def test_statistics_are_read_as_they_were_written(statistics: dict[str, xr.Dataset], tmp_path: Path) -> None:
    path = tmp_path / "window.npz"
    write_statistics(path, statistics, "abc")
    found = read_statistics(path)
    assert list(found) == list(statistics)
    for name, dataset in statistics.items():
        xr.testing.assert_identical(found[name], dataset)
        types = [{key: v.dtype for key, v in each.variables.items()} for each in (found[name], dataset)]
        assert types[0] == types[1]
    assert key_of_statistics(path) == "abc"


def test_a_file_that_is_cut_short_depends_on_nothing(
    statistics: dict[str, xr.Dataset], tmp_path: Path
) -> None:
    path = tmp_path / "window.npz"
    assert key_of_statistics(path) is None
    write_statistics(path, statistics, "abc")
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert key_of_statistics(path) is None
