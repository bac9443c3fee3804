"""`ssldm hindcast`: forecasts from every frame of archives, in one Zarr store."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssldm.cli.arguments import check_device, check_sampler, parse_share
from ssldm.cli.work import Device, Memory, Sampler, Scheduler, Steps, Workers, check_memory, work_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ssldm.report.hindcast_plan import Start


def register(app: typer.Typer) -> None:
    app.command()(hindcast)


def hindcast(
    data: Annotated[list[str], typer.Option("--data", help="Archive to forecast; may be repeated.")],
    out: Annotated[
        Path, typer.Option(help="Zarr store of the forecasts; what is there already is not made again.")
    ],
    model: Annotated[str, typer.Option(help="Shipped model, folder, or hub repository.")] = "small",
    members: Annotated[int, typer.Option(min=1, help="Ensemble size.")] = 20,
    steps: Steps = 10,
    sampler: Sampler = "dpm-solver++",
    seed: Annotated[int, typer.Option(min=0, help="Each start makes its own seed of it.")] = 0,
    lead_frames: Annotated[
        int | None, typer.Option(min=1, help="Lead times of a forecast.", show_default="all of the model")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Frames between starts.")] = 1,
    workers: Workers = None,
    scheduler: Scheduler = None,
    memory: Memory = None,
    part: Annotated[
        str | None, typer.Option(metavar="N/OF", help="Make every OF-th forecast from the N-th on.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Forecast whole archives: from every frame that has its context."""
    check_sampler(sampler)
    from ssldm.checks import whole_number
    from ssldm.diffusion.sampling import MOST_MEMBERS, MOST_SEED

    whole_number("--members", members, 1, MOST_MEMBERS)
    whole_number("--seed", seed, 0, MOST_SEED)
    check_device(device)
    number, of = parse_share(part, "part") or (1, 1)
    check_memory(memory, scheduler)
    from ssldm.cli.progress import over_items
    from ssldm.report.contestants import EnsembleSettings
    from ssldm.report.hindcast_plan import hindcast_plan, starts_by_group
    from ssldm.report.hindcast_store import check_hindcast_output, lay_out, make_hindcasts

    check_hindcast_output(out, data)
    settings = EnsembleSettings(members, steps, sampler, seed, device)  # type: ignore[arg-type]  # checked above
    plan = hindcast_plan(data, model, settings, out, lead_frames=lead_frames, every=every)
    series = plan.series()
    groups = starts_by_group(plan, series)
    lay_out(plan, series, groups)
    starts = [start for found in groups.values() for start in found]
    chosen = starts[number - 1 :: of]
    if chosen:
        made = make_hindcasts(plan, chosen, work_of(scheduler, workers, memory))
        _tell_remarks(over_items("forecasts")(made, len(chosen)))
    share = "" if part is None else f"part {part}, {len(chosen)} of "
    typer.echo(f"{out}: {share}{len(starts)} forecasts, {members} members")


def _tell_remarks(made: "Iterable[tuple[Start, tuple[str, ...]]]") -> None:
    """Say once what was remarked on forecasts, at the end, however it comes."""
    remarks: Counter[str] = Counter()
    try:
        for _, notes in made:
            remarks.update(notes)
    finally:
        for text, count in remarks.items():
            typer.echo(f"ssldm: note: {text} (of {count} forecasts)", err=True)
