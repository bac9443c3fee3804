"""A service in two processes: one that forecasts, started again if it ends, and one that answers."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NoReturn, Self

import numpy as np

from ssldm.errors import ConfigurationError, OutputError
from ssldm.radar.watchdog import end_with_parent
from ssldm.service.config import ServiceConfig
from ssldm.service.logs import log_to_stderr
from ssldm.service.store import Store
from ssldm.service.times import Clock

_log = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_LAST_SECONDS = 3.0


def serve(config: ServiceConfig, host: str, port: int, *, level: str = "info", forecast: bool = True) -> None:
    """Forecast and answer until the process is told to stop.

    Args:
        config: the service.
        host, port: where to listen.
        level: of the log.
        forecast: whether to; else only answer, from a store that another service fills.

    Raises:
        OutputError: another service writes to the store.
        ConfigurationError: a store that cannot be opened.
        OSError: a store that cannot be written to, an address that cannot be had.
    """
    import uvicorn

    from ssldm.service.app import create_app

    log_to_stderr(level)
    store = Store(config.store)
    with _alone(config.store) if forecast else nullcontext():
        clock = clock_of(store, config)
        app = create_app(config, store, clock)
        with _Supervised(config, clock, level) if forecast else nullcontext():
            uvicorn.run(
                app, host=host, port=port, log_config=None, access_log=False, server_header=False,
                limit_concurrency=config.limits.connections, timeout_keep_alive=10,
                timeout_graceful_shutdown=3,
            )  # fmt: skip


def forecast_forever(config: ServiceConfig, clock: Clock, level: str) -> None:
    """What the process that forecasts does; it ends with the one that began it."""
    from ssldm.service.forecaster import Forecaster

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process hears it, too, and ends this one
    signal.signal(signal.SIGTERM, _stop)
    end_with_parent()
    log_to_stderr(level)
    with closing(Forecaster(config, Store(config.store), clock)) as forecaster:
        forecaster.run()


def _stop(*_: object) -> NoReturn:
    """End, and close what was begun if that takes no longer than a moment; the store is whole anyway."""
    threading.Thread(target=_end_soon, daemon=True).start()
    raise SystemExit


def _end_soon() -> None:
    sleep(_LAST_SECONDS)
    os._exit(0)


def clock_of(store: Store, config: ServiceConfig) -> Clock:
    """The time of a service; of one that plays the past, as it goes on since the first start."""
    if config.replay is None:
        return Clock()
    about: dict[str, Any] = {"start": config.replay.start, "speed": config.replay.speed}
    kept = store.replay()
    if kept is None or {name: kept.get(name) for name in about} != about:
        kept = about | {"began": str(np.datetime64("now", "ms"))}
        store.put_replay(kept)
    began, start = (np.datetime64(kept[name], "ns") for name in ("began", "start"))
    return Clock(began, start, config.replay.speed)


class _Supervised:
    """The process that forecasts, begun again whenever it ends."""

    def __init__(self, config: ServiceConfig, clock: Clock, level: str) -> None:
        self._arguments = config, clock, level
        self._stopping = threading.Event()
        self._process: BaseProcess | None = None
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        process = self._process
        if process is not None and process.is_alive():
            process.terminate()
            process.join(2 * _LAST_SECONDS)
            process.kill()
        self._thread.join(_LAST_SECONDS)

    def _keep_alive(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            process = get_context("spawn").Process(target=forecast_forever, args=self._arguments)
            process.start()
            self._process = process
            if self._stopping.is_set():
                process.terminate()
            began = monotonic()
            process.join()
            if self._stopping.is_set():
                return
            _log.error("the forecaster ended", extra={"status": process.exitcode})
            pause = _FIRST_PAUSE if monotonic() - began > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
            self._stopping.wait(pause)


@contextmanager
def _alone(place: str) -> Iterator[None]:
    """Keep others from writing to a local store.

    Raises:
        OutputError: another service does.
    """
    if "://" in place or os.name == "nt":
        yield
        return
    import fcntl

    folder = Path(place)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder}: expected a folder to store in, found a file")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"{folder}: another service writes to this store") from error
        yield
