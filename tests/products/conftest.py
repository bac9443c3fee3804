"""A nowcast with a pixel that is not forecast."""

import pytest
import xarray as xr
from small_nowcasts import random_nowcast


@pytest.fixture
def forecast() -> xr.Dataset:
    """Five members, eight lead times of a quarter of an hour, 6×7 pixels of a kilometre."""
    return random_nowcast(5, 8, 6, 7)
