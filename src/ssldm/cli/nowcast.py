"""`ssldm nowcast`: radar files to an ensemble forecast in NetCDF or Zarr."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssldm.cli.arguments import SAMPLERS, check_device, check_sampler, parse_numbers, parse_time
from ssldm.errors import ConfigurationError

if TYPE_CHECKING:
    from ssldm.products_config import ProductsConfig


def register(app: typer.Typer) -> None:
    app.command()(nowcast)


def nowcast(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Radar files, folders, patterns or URLs.")
    ],
    out: Annotated[
        Path,
        typer.Option(help="The forecast to write: .nc or .zarr; with --products the folder to write to."),
    ],
    model: Annotated[str, typer.Option(help="Shipped model, folder, or hub repository.")] = "small",
    members: Annotated[int, typer.Option(min=1, help="Ensemble size.")] = 20,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Calls of the denoiser a member.")] = 10,
    lead_time: Annotated[
        str | None, typer.Option(help="Length of the forecast, such as 80min; up to 180min.")
    ] = None,
    products: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG", help="Write the products of a YAML file, and no members."),
    ] = None,
    output_step: Annotated[
        str | None,
        typer.Option(
            help="Write means over steps such as 15min.", show_default="the time step of the frames"
        ),
    ] = None,
    reference_time: Annotated[
        str | None,
        typer.Option(help="Forecast from this time, UTC, or now, instead of from the newest frame."),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            help="How old the newest frame may be at the reference time (or now), such as 30min.",
            show_default="one time step, where --reference-time is given",
        ),
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--tolerant",
            help="Stop at the first fault, or skip files that cannot be read and bridge one missing frame.",
            show_default="tolerant for a folder, else strict",
        ),
    ] = None,
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="Name of the format; recognised from the content if not given.")
    ] = None,
    zr: Annotated[
        str | None, typer.Option(metavar="A,B", help="Z = A R^B, instead of the service's own relation.")
    ] = None,
    max_rate: Annotated[float, typer.Option(help="Rates above it (mm/h) become unobserved.")] = 1000.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ensemble.")] = 0,
    sampler: Annotated[str, typer.Option(help=f"One of {', '.join(SAMPLERS)}.")] = "dpm-solver++",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, …")] = "auto",
) -> None:
    """Forecast from the newest radar frames."""
    check_sampler(sampler)
    from ssldm.checks import whole_number
    from ssldm.diffusion.sampling import MOST_MEMBERS, MOST_SEED
    from ssldm.forecast.dataset import write_nowcast
    from ssldm.forecast.nowcaster import SHIPPED, Nowcaster, lead_time_of
    from ssldm.radar.context import LOOKED_AT, duration_of

    asked = _asked(products, output_step, out, sources)
    check_device(device)
    if max_age is not None:
        duration_of(max_age)
    if lead_time is not None:
        lead_time_of(lead_time)
    if output_step is not None:
        lead_time_of(output_step, "an output step")
    whole_number("members", members, 1, MOST_MEMBERS)
    whole_number("seed", seed, 0, MOST_SEED)
    until = parse_time(reference_time)
    relation = parse_numbers(zr, "zr", 2)
    tolerant = Path(sources[0]).is_dir() and len(sources) == 1 if strict is None else not strict
    from ssldm.forecast.model_config import read_model_config
    from ssldm.forecast.weights_folder import weights_at
    from ssldm.radar.isolation import newest_isolated
    from ssldm.radar.newest import Wanted
    from ssldm.radar.open import read_options

    options = read_options(None if relation is None else (relation[0], relation[1]), max_rate)
    folder = weights_at(model, SHIPPED, {})
    config = read_model_config(folder)
    frames = config.context_frames
    least = LOOKED_AT * frames if tolerant else frames
    before = asked.frames(config.step_minutes) if asked else 0
    wanted = Wanted(max(least, before), until, skip_damaged=tolerant)
    observations = newest_isolated(sources, wanted, options, format)
    from ssldm.cli.progress import counting

    nowcaster = Nowcaster.from_pretrained(folder, device=device)
    with counting("nowcast") as on_start:
        forecast = nowcaster.nowcast(
            observations,
            members=members,
            steps=steps,
            lead_time=lead_time,
            output_step=output_step,
            seed=seed,
            sampler=sampler,  # type: ignore[arg-type]  # checked above
            reference_time=until,
            max_age=max_age,
            bridge=tolerant,
            lazy=True,
            on_start=on_start,
        )
        if asked is None:
            write_nowcast(forecast, out)
            written = [out]
        else:
            from ssldm.product_files import write_without_members

            written = write_without_members(forecast, observations, asked, out)
    start = forecast["forecast_reference_time"].values.astype("M8[m]")
    for path in written:
        typer.echo(f"{path}: {members} members from {start} UTC")


def _asked(
    products: Path | None, output_step: str | None, out: Path, sources: list[str]
) -> "ProductsConfig | None":
    """The products to write in place of members, if any; the output is checked before all work."""
    from ssldm.forecast.dataset import check_nowcast_output
    from ssldm.paths import check_no_source
    from ssldm.products_config import read_products_config

    if products is None:
        check_nowcast_output(out, sources)
        return None
    if output_step is not None:
        raise ConfigurationError("expected --products or --output-step, found both")
    check_no_source(out, [*sources, products])
    return read_products_config(products)
