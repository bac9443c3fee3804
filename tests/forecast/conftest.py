"""What forecasts are made from."""

import numpy as np
import pytest
import xarray as xr

from ssldm.radar.simulation import simulate


@pytest.fixture(scope="module")
def storm() -> xr.DataArray:
    storm = simulate(4, (90, 110), seed=1)
    storm[1, 40:45, 50:60] = np.nan
    return storm
