"""The CRPS of a report on real radar against a separate implementation, from the forecasts that it keeps."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scores.probability import crps_for_ensemble

from ssldm.forecast.dataset import open_nowcast
from ssldm.radar.archive_build import BuildOptions, build_archive
from ssldm.radar.observations import NAME
from ssldm.report.contestants import EnsembleSettings, baseline
from ssldm.report.hindcasts import Worker
from ssldm.report.preparation import Selection, plan_of, prepare
from ssldm.report.statistics_file import read_statistics
from ssldm.verification.statistics import scores_of


@pytest.mark.slow
@pytest.mark.parametrize("place", ["f1", "f4"])
def test_crps_of_steps_on_smhi_windows(place: str, real_data: Path, tmp_path: Path) -> None:
    source = str(real_data / "smhi_npy" / f"2021_05_11_*{place}.npy")
    build_archive([source], tmp_path / "a.zarr", BuildOptions(start="2021-05-11T17:35"))
    contestants = [baseline("steps", EnsembleSettings(members=20))]
    plan = plan_of([tmp_path / "a.zarr"], contestants, tmp_path / "report")
    report = prepare(plan, Selection(at_most=1), reference=None, command="")
    (window,) = report.windows
    Worker(report.plan).process(window)
    found = scores_of(read_statistics(report.plan.statistics_path(window))["steps"])["crps"].sel(pool=1)

    truth = window.of(plan.series(), plan.frames)[plan.context_frames :].load().astype(np.float64)
    members = open_nowcast(plan.hindcast_path(contestants[0], window))[NAME].load().astype(np.float64)
    assert members.sizes == {"member": 20, "lead_time": 16, "y": 256, "x": 256}
    observed = xr.DataArray(truth.values, dims=("lead_time", "y", "x"))
    forecast = members.drop_vars(list(members.coords))
    separate = crps_for_ensemble(
        forecast, observed, "member", method="ecdf", preserve_dims=["lead_time", "y", "x"]
    )
    separate = separate.where(forecast.notnull().all("member")).mean(("y", "x"))
    assert float(separate.min()) > 1e-3
    np.testing.assert_allclose(found.values, separate.values, rtol=0, atol=1e-6)
