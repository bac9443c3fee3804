"""`ssldm verify`: models, baselines and forecasts in files on the same windows, and a report."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssldm.cli.arguments import check_device, check_sampler, parse_pairs, parse_share
from ssldm.cli.work import Device, Memory, Sampler, Scheduler, Steps, Workers, check_memory, work_of
from ssldm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    data: Annotated[list[str], typer.Option("--data", help="Archive to verify on; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder of the report; what is there already is not made again.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Shipped model, folder, or hub repository, or NAME=MODEL; may be repeated; none for none.",
            show_default="small",
        ),
    ] = None,
    baselines: Annotated[
        str,
        typer.Option(
            help="Comma-separated: persistence, extrapolation, sprog, steps, anvil, linda (takes minutes a "
            "window)."
        ),
    ] = "persistence,extrapolation,steps",
    forecast: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATTERN", help="Forecasts in files of `ssldm nowcast`; may be repeated."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Whose scores skill is relative to.", show_default="steps if there")
    ] = None,
    members: Annotated[int, typer.Option(min=1, help="Ensemble size.")] = 20,
    steps: Steps = 10,
    sampler: Sampler = "dpm-solver++",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ensembles.")] = 0,
    lead_frames: Annotated[
        int | None, typer.Option(min=1, help="Lead times to score.", show_default="all of the models")
    ] = None,
    size: Annotated[int, typer.Option(min=0, help="Side of the tiles in pixels; 0 for whole domains.")] = 256,
    every: Annotated[
        int | None, typer.Option(min=1, help="Frames between windows.", show_default="disjoint")
    ] = None,
    windows: Annotated[
        int | None, typer.Option(min=1, help="At most so many, spread over all.", show_default="all")
    ] = None,
    thresholds: Annotated[
        str,
        typer.Option(
            help="Comma-separated: 0.5 (mm/h), 12dBZ, 74VIL, p99 (of what was observed), or a set: default, "
            "ldcast, sevir, hko7, meteonet."
        ),
    ] = "default,p99,p99.9",
    lpips: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Also LPIPS, with this network; cache: look in the usual caches."),
    ] = None,
    fvd: Annotated[str | None, typer.Option(metavar="PATH", help="Also FVD; likewise.")] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    memory: Memory = None,
    part: Annotated[
        str | None,
        typer.Option(metavar="N/OF", help="Make every OF-th window from the N-th on, and no report."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Make the report of parts that are all there.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Score models, baselines and forecasts in files on archives, on equal terms."""
    check_sampler(sampler)
    from ssldm.checks import whole_number
    from ssldm.diffusion.sampling import MOST_SEED

    whole_number("--seed", seed, 0, MOST_SEED)
    check_device(device)
    share = parse_share(part, "part")
    check_memory(memory, scheduler)
    if merge and (share is not None or scheduler is not None):
        raise ConfigurationError("expected --merge by itself: it makes nothing that is missing")
    from ssldm.cli.progress import over_items
    from ssldm.report.contestants import EnsembleSettings, baseline, trained
    from ssldm.report.evaluate import evaluate
    from ssldm.report.forecast_files import FileContestant
    from ssldm.report.hindcasts import compute_statistics
    from ssldm.report.preparation import Selection, plan_of, prepare
    from ssldm.verification.perceptual import Perceptual, weights_from

    settings = EnsembleSettings(members, steps, sampler, seed, device)  # type: ignore[arg-type]  # checked above
    models = [name for name in model or ["small"] if name != "none"]
    contestants = [
        *(trained(text, settings) for text in models),
        *(baseline(name, settings) for name in baselines.split(",") if name),
        *(FileContestant.matching(*pair) for pair in parse_pairs(forecast or ()).items()),
    ]
    names = [contestant.name for contestant in contestants]
    if reference is None and "steps" in names:
        reference = "steps"
    perceptual = Perceptual(
        lpips=weights_from("lpips", lpips) if lpips else None, fvd=weights_from("fvd", fvd) if fvd else None
    )
    plan = plan_of(data, contestants, out, lead_frames=lead_frames, perceptual=perceptual)
    selection = Selection(size=size or None, every=every, at_most=windows, thresholds=thresholds)
    report = prepare(
        plan,
        selection,
        reference=reference,
        command=shlex.join(["ssldm", *sys.argv[1:]]),
        progress=over_items("reading"),
    )
    work = _none_missing if merge else work_of(scheduler, workers, memory)
    if share is not None:
        chosen = report.windows[share[0] - 1 :: share[1]]
        for _ in over_items("windows")(compute_statistics(report.plan, chosen, work), len(chosen)):
            pass
        typer.echo(f"{out}: part {part}, {len(chosen)} of {len(report.windows)} windows")
        return
    table = evaluate(report, work=work, progress=over_items("windows"))
    typer.echo(_headline(table))
    typer.echo(f"{out / 'index.html'}: {len(report.windows)} windows, {members} members")


def _none_missing(_: "Callable[[Any], Any]", windows: "Sequence[Any]") -> "Iterator[tuple[Any, Any]]":
    raise ConfigurationError(f"expected all parts to be there, found none of {windows[0].name}")


def _headline(table: "pd.DataFrame") -> str:
    """The scores of all lead times together that are asked for first."""
    shown = table[
        (table["lead_frame"] == 0)
        & table["metric"].isin(["crps", "crps_skill", "csi_mean", "csi", "spread_skill"])
        & ~(table["scale"] > 1)
    ]
    wide = shown.assign(threshold_name=shown["threshold_name"].fillna("")).pivot_table(
        index="contestant", columns=["metric", "threshold_name"], values="value", sort=False, dropna=False
    )
    return str(wide.dropna(axis=1, how="all").round(3).to_string())
