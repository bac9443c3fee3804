"""Tasks on a Dask cluster: on processes of this machine or on many machines that share the folders.

Workers may come, go and die: what one has not finished another does, and what is done is on the disk.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssldm.errors import ConfigurationError
from ssldm.report.work import Item, Result, check_none_failed

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
# How often an item is tried that fails, and one whose worker died.
_TRIES, _DEATHS = 3, 10


@dataclass(frozen=True)
class Cluster:
    """Where items are worked on.

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


def on_cluster(
    task: Callable[[Item], Result], items: Sequence[Item], cluster: Cluster
) -> Iterator[tuple[Item, Result]]:
    """Do a task on items on a cluster; yields each with its result when it is done.

    Args:
        task: may be sent to other machines; its paths are those that all workers know.
        items: what it is done on.
        cluster: where.

    Raises:
        ObservationError: items that cannot be done, wherever they are tried; the others are.
        ConfigurationError: no scheduler at that address.
    """
    from distributed import KilledWorker, as_completed

    failed: dict[str, BaseException] = {}
    tries: Counter[str] = Counter()
    with _client(cluster) as client:
        waiting = {client.submit(task, item, pure=False): item for item in items}
        coming = as_completed(waiting)
        for future in coming:
            item, error = waiting.pop(future), future.exception()
            if error is None:
                yield item, future.result()
                continue
            tries[item.name] += 1
            if tries[item.name] < (_DEATHS if isinstance(error, KilledWorker) else _TRIES):
                again = client.submit(task, item, pure=False)
                waiting[again] = item
                coming.add(again)
            else:
                failed[item.name] = error
    check_none_failed(failed, len(items))


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
