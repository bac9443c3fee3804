"""Windows on a Dask cluster: on processes of this machine or on many machines that share the folders.

Workers may come, go and die: what one has not finished another does, and what is done is on the disk.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssldm.errors import ConfigurationError, ObservationError
from ssldm.report.hindcasts import Plan, work_on
from ssldm.verification.windows import Window

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
# How often a window is tried that fails, and one whose worker died.
_TRIES, _DEATHS = 3, 10
_LISTED = 5


@dataclass(frozen=True)
class Cluster:
    """Where windows are worked on.

    Attributes:
        scheduler: its address, such as ``tcp://host:8786``; `LOCAL` for processes of this machine.
        workers: how many of these.
        memory: that one of them may take, such as "4GB"; its share of the machine's where None.
        on_start: told the address of the dashboard.
    """

    scheduler: str = LOCAL
    workers: int = 1
    memory: str | None = None
    on_start: Callable[[str], None] = lambda _: None


def on_cluster(plan: Plan, windows: Sequence[Window], cluster: Cluster) -> Iterator[Window]:
    """Make the statistics of windows on a cluster; yields each window when it is done.

    Args:
        plan: what to make; archives and output are paths that all workers know.
        windows: of which.
        cluster: where.

    Raises:
        ObservationError: windows that cannot be done, wherever they are tried; the others are.
        ConfigurationError: no scheduler at that address.
    """
    from distributed import KilledWorker, as_completed

    plan = _absolute(plan)
    failed: dict[str, str] = {}
    tries: Counter[str] = Counter()
    with _client(cluster) as client:
        waiting = {client.submit(work_on, plan, window, pure=False): window for window in windows}
        coming = as_completed(waiting)
        for future in coming:
            window, error = waiting.pop(future), future.exception()
            if error is None:
                yield window
                continue
            tries[window.name] += 1
            if tries[window.name] < (_DEATHS if isinstance(error, KilledWorker) else _TRIES):
                again = client.submit(work_on, plan, window, pure=False)
                waiting[again] = window
                coming.add(again)
            else:
                failed[window.name] = " ".join(str(error).split())
    if failed:
        listed = "; ".join(f"{name}: {error:.200}" for name, error in list(failed.items())[:_LISTED])
        more = f" and {len(failed) - _LISTED} more" if len(failed) > _LISTED else ""
        raise ObservationError(f"{len(failed)} of {len(windows)} windows cannot be done: {listed}{more}")


@contextmanager
def _client(cluster: Cluster) -> Iterator["Client"]:
    from distributed import Client, LocalCluster

    if cluster.scheduler != LOCAL:
        try:
            client = Client(cluster.scheduler, timeout="20s")
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"expected a scheduler of dask at {cluster.scheduler!r}, found none"
            ) from error
        with client:
            cluster.on_start(str(client.dashboard_link))
            yield client
        return
    options: dict[str, Any] = {} if cluster.memory is None else {"memory_limit": cluster.memory}
    with (
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            **options,
        ) as local,
        Client(local) as client,
    ):
        # Always so many: one that dies while it starts is begun again, too.
        local.adapt(minimum=cluster.workers, maximum=cluster.workers)
        cluster.on_start(str(client.dashboard_link))
        yield client


def _absolute(plan: Plan) -> Plan:
    """With archives and output under paths that mean the same in every folder."""
    archives = tuple(each if "://" in each else str(Path(each).absolute()) for each in plan.archives)
    return replace(plan, archives=archives, out=plan.out.absolute())
