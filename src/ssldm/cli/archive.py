"""`ssldm archive`: native files to an archive, what an archive holds, and simulated ones."""

from pathlib import Path
from typing import Annotated

import typer

from ssldm.cli.arguments import check_finite, parse_box, parse_numbers, parse_pairs, parse_time
from ssldm.errors import ConfigurationError, ObservationError


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Archives of observations.", rich_markup_mode=None)
    group.command()(build)
    group.command()(info)
    group.command()(check)
    group.command()(simulate)
    app.add_typer(group, name="archive")


def build(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE... OUT.zarr",
            help="Files, folders, patterns or URLs, then the archive, a folder or URL.",
        ),
    ],
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="Name of the format; recognised from the content if not given.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First time to take, UTC (2021-05-11T02:30).")] = None,
    end: Annotated[str | None, typer.Option(help="Last time to take, UTC.")] = None,
    step: Annotated[
        float | None, typer.Option(min=1 / 60, help="Keep times at multiples of so many minutes.")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="W,S,E,N", help="Box in degrees (metres without georeference).")
    ] = None,
    crs: Annotated[
        str | None, typer.Option(help="Projection to bring all to (EPSG:3067, PROJ string).")
    ] = None,
    resolution: Annotated[float | None, typer.Option(help="Pixel size in metres.")] = None,
    zr: Annotated[
        str | None, typer.Option(metavar="A,B", help="Z = A R^B, instead of the service's own relation.")
    ] = None,
    max_rate: Annotated[float, typer.Option(help="Rates above it (mm/h) become unobserved.")] = 1000.0,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="Attribute of the archive: license, mlcast_created_by, …"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; all processors if not given.")
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Add the frames after its last to an archive that is there.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="Stop at the first file that cannot be read.")] = False,
) -> None:
    """Build an archive from native files; a build that was cut short goes on where it stopped."""
    import os

    from ssldm.cli.progress import over_items
    from ssldm.radar.archive_build import BuildOptions, build_archive
    from ssldm.radar.open import read_options
    from ssldm.radar.regrid import Regridding

    if len(sources) < 2:
        raise ConfigurationError(f"expected sources and an archive, found only {' '.join(sources)}")
    *inputs, out = sources
    relation = parse_numbers(zr, "zr", 2)
    box = parse_box(crop, "crop")
    check_finite(step, "step")
    check_finite(resolution, "resolution")
    first, last = parse_time(start), parse_time(end)
    if first is not None and last is not None and last < first:
        raise ConfigurationError(f"expected an end after the start, found {start} to {end}")
    options = BuildOptions(
        format=format,
        read=read_options(None if relation is None else (relation[0], relation[1]), max_rate),
        start=None if first is None else str(first),
        end=None if last is None else str(last),
        regrid=Regridding(
            step_minutes=step,
            crop=box,
            crs=crs,
            resolution=resolution,
        ),
        strict=strict,
    )
    summary = build_archive(
        inputs,
        out,
        options,
        append=append,
        attributes=parse_pairs(attribute or []),
        workers=workers or os.cpu_count() or 1,
        progress=over_items("reading"),
    )
    for line in summary.lines():
        typer.echo(line)
    typer.echo(f"{out}: {len(summary.series)} series")


def info(
    archive: Annotated[str, typer.Argument(help="An archive.")],
    picture: Annotated[Path | None, typer.Option(help="Write a quick look at it as PNG.")] = None,
) -> None:
    """Print period, step, gaps, grid, wet fraction by month and intensities of an archive."""
    from ssldm.cli.progress import over_items
    from ssldm.radar.archive_info import archive_info

    found = []
    for series in archive_info(archive, progress=over_items("looking")):
        found.append(series)
        for line in series.lines():
            typer.echo(line)
    if picture is not None:
        from ssldm.plotting import plot_archive

        plot_archive(found, picture)


def check(archive: Annotated[str, typer.Argument(help="An archive, a folder or URL.")]) -> None:
    """Read every frame of an archive, and print what is missing, damaged, out of order or left over."""
    from ssldm.cli.progress import over_items
    from ssldm.radar.archive_check import check_archive

    findings = check_archive(archive, progress=over_items("checking"))
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise ObservationError(f"{archive}: expected a whole archive, found {len(findings)} faults")
    typer.echo(f"{archive}: whole")


def simulate(
    out: Annotated[str, typer.Argument(help="The archive to make, a folder or URL.")],
    events: Annotated[int, typer.Option(min=1, help="Number of storms.")] = 10,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a storm.")] = 48,
    size: Annotated[int, typer.Option(min=1, help="Side of the domain in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first storm.")] = 0,
) -> None:
    """Build an archive of simulated storms, a day apart."""
    from ssldm.cli.progress import over_items
    from ssldm.radar.archive_build import build_simulated

    build_simulated(out, events, frames, (size, size), seed=seed, progress=over_items("simulating"))
    typer.echo(f"{out}: {events} storms of {frames} frames")
