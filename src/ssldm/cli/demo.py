"""`ssldm demo`: a simulated storm, forecast with the shipped weights."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("demo"),
    members: Annotated[int, typer.Option(min=2, help="Ensemble size.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of storm and ensemble.")] = 1,
) -> None:
    """Forecast a simulated storm: NetCDF, GIF, PNG and scores."""
    from ssldm.cli.progress import counting
    from ssldm.demo import run_demo

    with counting("nowcast") as on_start:
        scores = run_demo(out, members=members, seed=seed, on_start=on_start)
    typer.echo("A simulated storm, not an observed one: CRPS of the forecast in mm/h (smaller is better)")
    for name, crps in scores.items():
        typer.echo(f"  {name:<14}{crps:.3f}")
    typer.echo(f"See {out / 'nowcast.gif'}, {out / 'nowcast.png'} and {out / 'nowcast.nc'}.")
