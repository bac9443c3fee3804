"""The demonstration: a simulated storm through the shipped weights, beside simple forecasts."""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ssldm.nowcast.dataset import write_nowcast
from ssldm.nowcast.nowcaster import Nowcaster, OnStart
from ssldm.plotting import plot_nowcast
from ssldm.radar.observations import NAME
from ssldm.radar.simulation import simulate
from ssldm.verification.baselines import BASELINES, BaselineName, Setting
from ssldm.verification.hindcast import verify
from ssldm.verification.table import tidy_table

_BASELINES: tuple[BaselineName, ...] = ("persistence", "extrapolation")


def run_demo(
    out: Path, *, members: int, seed: int, on_start: OnStart = lambda _: lambda: None
) -> dict[str, float]:
    """Write forecast, pictures and scores into ``out``; returns CRPS in mm/h by contestant."""
    nowcaster = Nowcaster.from_pretrained("small")
    config = nowcaster.config
    storm = simulate(config.context_frames + config.lead_frames, seed=seed, step_minutes=config.step_minutes)
    context = storm.isel(time=slice(0, config.context_frames))
    forecast = nowcaster.nowcast(context, members=members, seed=seed, on_start=on_start)
    setting = Setting.of(context, lead_frames=config.lead_frames, members=members, seed=seed)
    forecasts = {"ssldm": forecast[NAME].values} | {name: BASELINES[name](setting) for name in _BASELINES}
    statistics = verify(
        {name: partial(_given, members) for name, members in forecasts.items()},
        [storm],
        context_frames=config.context_frames,
        lead_frames=config.lead_frames,
    )
    out.mkdir(parents=True, exist_ok=True)
    table = tidy_table(statistics)
    table.to_csv(out / "scores.csv", index=False)
    write_nowcast(forecast, out / "nowcast.nc")
    for suffix in (".gif", ".png"):
        plot_nowcast(forecast, out / f"nowcast{suffix}", observations=storm)
    crps = table[(table["metric"] == "crps") & (table["lead_frame"] == 0) & (table["scale"] == 1)]
    return dict(zip(crps["contestant"], crps["value"], strict=True))


def _given(members: NDArray[np.float32], _: xr.DataArray) -> NDArray[np.float32]:
    """A forecast made before."""
    return members
