"""`ssldm nowcast`: radar files to an ensemble forecast in NetCDF."""

from pathlib import Path
from typing import Annotated

import typer

from ssldm.cli.arguments import SAMPLERS, check_sampler, parse_time

# More than any model's context, and few enough that a whole archive may be the source.
_FRAMES_AT_MOST = 24


def register(app: typer.Typer) -> None:
    app.command()(nowcast)


def nowcast(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Radar files, folders, patterns or URLs.")
    ],
    out: Annotated[Path, typer.Option(help="The forecast to write, NetCDF.")],
    model: Annotated[str, typer.Option(help="Shipped model, folder, or hub repository.")] = "small",
    members: Annotated[int, typer.Option(min=1, help="Ensemble size.")] = 20,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Calls of the denoiser a member.")] = 10,
    lead_time: Annotated[str | None, typer.Option(help="Length of the forecast, such as 80min.")] = None,
    reference_time: Annotated[
        str | None, typer.Option(help="Forecast from this time, UTC, instead of the last frame.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ensemble.")] = 0,
    sampler: Annotated[str, typer.Option(help=f"One of {', '.join(SAMPLERS)}.")] = "dpm-solver++",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, …")] = "auto",
) -> None:
    """Forecast from the last radar frames."""
    check_sampler(sampler)
    from ssldm.radar.isolation import open_isolated

    observations = open_isolated(sources, until=parse_time(reference_time), frames=_FRAMES_AT_MOST)
    from ssldm.cli.progress import counting
    from ssldm.nowcast.dataset import write_nowcast
    from ssldm.nowcast.nowcaster import Nowcaster

    nowcaster = Nowcaster.from_pretrained(model, device=device)
    with counting("nowcast") as on_start:
        forecast = nowcaster.nowcast(
            observations,
            members=members,
            steps=steps,
            lead_time=lead_time,
            seed=seed,
            sampler=sampler,  # type: ignore[arg-type]  # checked above
            on_start=on_start,
        )
    write_nowcast(forecast, out)
    typer.echo(
        f"{out}: {members} members from {forecast['forecast_reference_time'].values.astype('M8[m]')} UTC"
    )
