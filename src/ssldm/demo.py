"""The demonstration: a simulated storm through the shipped weights, beside simple forecasts."""

from pathlib import Path

from ssldm.atomic import check_output, replacing
from ssldm.forecast.dataset import write_nowcast
from ssldm.forecast.members import OnStart
from ssldm.forecast.nowcaster import Nowcaster
from ssldm.plotting import plot_nowcast
from ssldm.radar.observations import NAME
from ssldm.radar.simulation import simulate
from ssldm.verification.baselines import BASELINES, BaselineName, Setting
from ssldm.verification.comparison import compare
from ssldm.verification.member_groups import groups_of
from ssldm.verification.statistics import Protocol
from ssldm.verification.table import all_scores, tidy_table

_BASELINES: tuple[BaselineName, ...] = ("persistence", "extrapolation")


def run_demo(
    out: Path, *, members: int, seed: int, on_start: OnStart = lambda _: lambda: None
) -> dict[str, float]:
    """Write forecast, pictures and scores into ``out``; returns CRPS in mm/h by contestant.

    Raises:
        OutputError: the folder, or a file of the demonstration in it, cannot be written to.
    """
    for name in ("nowcast.nc", "nowcast.gif", "nowcast.png", "scores.csv"):
        check_output(out / name)
    nowcaster = Nowcaster.from_pretrained("small")
    config = nowcaster.config
    storm = simulate(config.context_frames + config.lead_frames, seed=seed, step_minutes=config.step_minutes)
    context, truth = (
        storm.isel(time=part) for part in (slice(config.context_frames), slice(config.context_frames, None))
    )
    forecast = nowcaster.nowcast(context, members=members, seed=seed, on_start=on_start)
    setting = Setting.of(context, lead_frames=config.lead_frames, members=members, seed=seed)
    forecasts = {config.name: forecast[NAME].values} | {name: BASELINES[name](setting) for name in _BASELINES}
    statistics = compare(forecasts, truth, Protocol(images=False), groups={config.name: groups_of(forecast)})
    table = tidy_table(all_scores({name: part.expand_dims("event") for name, part in statistics.items()}))
    with replacing(out / "scores.csv") as aside:
        table.to_csv(aside, index=False)
    write_nowcast(forecast, out / "nowcast.nc")
    for suffix in (".gif", ".png"):
        plot_nowcast(forecast, out / f"nowcast{suffix}", observations=storm)
    crps = table[(table["metric"] == "crps") & (table["lead_frame"] == 0) & (table["scale"] == 1)]
    return dict(zip(crps["contestant"], crps["value"], strict=True))
