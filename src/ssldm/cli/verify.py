"""`ssldm verify`: a model and baselines on the same windows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssldm.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ssldm.nowcast.nowcaster import Nowcaster
    from ssldm.verification.baselines import BaselineName
    from ssldm.verification.hindcast import Contestant


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    data: Annotated[list[Path], typer.Option("--data", help="Archive to verify on; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder of the report.")],
    model: Annotated[str, typer.Option(help="Shipped model, folder, or hub repository.")] = "small",
    baselines: Annotated[str, typer.Option(help="Comma-separated.")] = "persistence,extrapolation,steps",
    members: Annotated[int, typer.Option(min=1, help="Ensemble size.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Calls of the denoiser a member.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ensembles.")] = 0,
    size: Annotated[int, typer.Option(min=0, help="Side of the tiles in pixels; 0 for whole domains.")] = 256,
    every: Annotated[
        int | None, typer.Option(min=1, help="Frames between windows; disjoint where left out.")
    ] = None,
) -> None:
    """Score a model and baselines on an archive, on equal terms."""
    from ssldm.verification.baselines import BASELINES

    names = [name for name in baselines.split(",") if name]
    if unknown := [name for name in names if name not in BASELINES]:
        raise ConfigurationError(
            f"expected baselines among {', '.join(BASELINES)}, found {', '.join(unknown)}"
        )
    from ssldm.cli.progress import over_items
    from ssldm.nowcast.nowcaster import Nowcaster
    from ssldm.radar.archive import open_archive
    from ssldm.verification.hindcast import verify as score
    from ssldm.verification.hindcast import windows
    from ssldm.verification.table import tidy_table

    nowcaster = Nowcaster.from_pretrained(model)
    frames = nowcaster.config.context_frames + nowcaster.config.lead_frames
    series = [part for archive in data for part in open_archive(archive)]
    found = list(windows(series, frames=frames, size=size or None, every=every))
    contestants = {
        "ssldm": _forecaster(nowcaster, members, steps, seed),
        **{name: _baseline(name, nowcaster, members, seed) for name in names},  # type: ignore[arg-type]
    }
    statistics = score(
        contestants,
        over_items("windows")(found, len(found)),
        context_frames=nowcaster.config.context_frames,
        lead_frames=nowcaster.config.lead_frames,
    )
    table = tidy_table(statistics)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / "scores.csv.partial"
    table.to_csv(partial, index=False)
    partial.rename(out / "scores.csv")
    typer.echo(f"{table['windows'].max()} windows, {members} members")
    typer.echo(_headline(table))


def _headline(table: "pd.DataFrame") -> str:
    """The scores of all lead times together that are asked for first."""
    shown = table[
        (table["lead_frame"] == 0)
        & table["metric"].isin(["crps", "csi_mean", "csi", "spread_skill", "mean_rate", "observed_rate"])
        & ~(table["scale"] > 1)
    ]
    wide = shown.pivot_table(
        index="contestant", columns=["metric", "threshold"], values="value", sort=False, dropna=False
    )
    return str(wide.dropna(axis=1, how="all").round(4).to_string())


def _forecaster(nowcaster: "Nowcaster", members: int, steps: int, seed: int) -> "Contestant":
    def forecast(context: "xr.DataArray") -> "object":
        return nowcaster.nowcast(context, members=members, steps=steps, seed=seed)[
            "precipitation_rate"
        ].values

    return forecast  # type: ignore[return-value]


def _baseline(name: "BaselineName", nowcaster: "Nowcaster", members: int, seed: int) -> "Contestant":
    from ssldm.verification.baselines import BASELINES, Setting

    def forecast(context: "xr.DataArray") -> "object":
        lead_frames = nowcaster.config.lead_frames
        return BASELINES[name](Setting.of(context, lead_frames=lead_frames, members=members, seed=seed))

    return forecast  # type: ignore[return-value]
