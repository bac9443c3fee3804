"""Options of commands that make many forecasts: of what kind, and where they are worked on."""

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ssldm.errors import ConfigurationError

if TYPE_CHECKING:
    from ssldm.report.work import Work

Steps = Annotated[int, typer.Option(min=1, max=1000, help="Calls of the denoiser a member.")]
Sampler = Annotated[str, typer.Option(help="See `ssldm nowcast`.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, …")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one a processor")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Work on a Dask cluster: tcp://HOST:8786, or local for --workers of it."
    ),
]
Memory = Annotated[str | None, typer.Option(help="That one local worker of Dask may take, such as 4GB.")]


def check_memory(memory: str | None, scheduler: str | None) -> None:
    """Refuse a limit of memory where it would have none to limit.

    Raises:
        ConfigurationError: workers are not those of a local cluster.
    """
    if memory is not None and scheduler != "local":
        raise ConfigurationError("expected --memory with --scheduler local: other workers have their own")


def work_of(scheduler: str | None, workers: int | None, memory: str | None) -> "Work":
    """In processes of this machine, or on a cluster, whose dashboard is told on standard error."""
    from ssldm.report.work import in_processes

    number = workers or os.cpu_count() or 1
    if scheduler is None:
        return partial(in_processes, workers=number)
    from ssldm.report.cluster import Cluster, on_cluster

    def told(dashboard: str) -> None:
        typer.echo(f"dashboard: {dashboard}", err=True)

    return partial(on_cluster, cluster=Cluster(scheduler, number, memory, told))
