"""The demonstration: a simulated storm through the shipped weights, beside simple forecasts."""

from pathlib import Path

from ssldm.nowcast.dataset import write_nowcast
from ssldm.nowcast.nowcaster import Nowcaster, OnStart
from ssldm.plotting import plot_nowcast
from ssldm.radar.observations import NAME, pixel_size
from ssldm.radar.simulation import simulate
from ssldm.verification.baselines import BASELINES, BaselineName, Setting
from ssldm.verification.hindcast import verify

_BASELINES: tuple[BaselineName, ...] = ("persistence", "extrapolation")


def run_demo(
    out: Path, *, members: int, seed: int, on_start: OnStart = lambda calls: lambda: None
) -> dict[str, float]:
    """Write `nowcast.nc`, `nowcast.gif`, `nowcast.png` and `scores.csv`; returns CRPS in mm/h by contestant."""
    nowcaster = Nowcaster.from_pretrained("small")
    config = nowcaster.config
    storm = simulate(config.context_frames + config.lead_frames, seed=seed, step_minutes=config.step_minutes)
    context = storm.isel(time=slice(0, config.context_frames))
    forecast = nowcaster.nowcast(context, members=members, seed=seed, on_start=on_start)
    setting = Setting(
        context.values,
        lead_frames=config.lead_frames,
        members=members,
        seed=seed,
        step_minutes=config.step_minutes,
        pixel_km=pixel_size(context) / 1000.0,
    )
    contestants = {"ssldm": lambda _: forecast[NAME].values}
    contestants |= {name: lambda _, name=name: BASELINES[name](setting) for name in _BASELINES}
    table, _ = verify(
        contestants, [storm], context_frames=config.context_frames, lead_frames=config.lead_frames
    )
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "scores.csv", index=False)
    write_nowcast(forecast, out / "nowcast.nc")
    for suffix in (".gif", ".png"):
        plot_nowcast(forecast, out / f"nowcast{suffix}", observations=storm)
    crps = table[(table["metric"] == "crps") & (table["lead_frame"] == 0)]
    return dict(zip(crps["contestant"], crps["value"], strict=True))
