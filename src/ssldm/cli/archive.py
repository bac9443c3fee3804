"""`ssldm archive`: native files to an archive, and what an archive holds."""

from pathlib import Path
from typing import Annotated

import typer

from ssldm.cli.arguments import parse_time
from ssldm.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Archives of observations.", rich_markup_mode=None)
    group.command()(build)
    group.command()(info)
    app.add_typer(group, name="archive")


def build(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE... OUT.zarr", help="Files, folders or patterns, then the archive."),
    ],
    start: Annotated[str | None, typer.Option(help="First time to take, UTC (2021-05-11T02:30).")] = None,
    end: Annotated[str | None, typer.Option(help="Last time to take, UTC.")] = None,
) -> None:
    """Build an archive from native files of one product."""
    from ssldm.cli.progress import over_files
    from ssldm.radar.archive import build_archive

    if len(sources) < 2:
        raise ConfigurationError(f"expected sources and an archive, found only {' '.join(sources)}")
    *inputs, out = sources
    written = build_archive(
        inputs, Path(out), start=parse_time(start), end=parse_time(end), progress=over_files("reading")
    )
    typer.echo(f"{out}: {len(written)} series")


def info(archive: Annotated[Path, typer.Argument(help="An archive.")]) -> None:
    """Print period, step, gaps, grid and wet fraction of an archive."""
    from ssldm.radar.archive import archive_info

    for series in archive_info(archive):
        first, last = (str(time)[:16].replace("T", " ") for time in series.period)
        height, width = series.size
        typer.echo(
            f"{series.place or archive.name}: {first} to {last} UTC, {series.frames} frames "
            f"every {series.step_minutes:g} min, {series.gaps} gaps, {height}×{width} pixels, "
            f"{series.observed_fraction:.1%} observed, {series.wet_fraction:.1%} of that wet (≥ 0.1 mm/h)"
        )
