"""Over how many processes a training is spread, and that all of them end together."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning
import rich
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.strategies import DDPStrategy

from ssldm.errors import ConfigurationError, ProcessError

# Status of failures; from 128 on, and below 0, it is that of a signal, and nothing was said.
_FAILED, _LEAST_SIGNALLED = 2, 128
# Variable of the environment that tells processes which one launched them.
_LAUNCHER = "SSLDM_TRAINING_LAUNCHER"
# Of looks at the other processes, and how long they have until one that misses another says so itself.
_PAUSE_SECONDS, _GRACE_SECONDS = 0.2, 10.0


@dataclass(frozen=True)
class Distribution:
    """Processes that train together by distributed data parallelism (DDP), one a device.

    Attributes:
        devices: accelerators, or processes on CPUs, of each node.
        nodes: machines.
    """

    devices: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        """Of all nodes."""
        return self.devices * self.nodes

    def check(self, batch_size: int) -> None:
        """Refuse what cannot be spread so.

        Args:
            batch_size: of all processes together.

        Raises:
            ConfigurationError: processes that get unequal shares of a batch, or more devices than there are.
        """
        if batch_size % self.processes:
            raise ConfigurationError(
                f"expected a batch_size that {self.processes} processes share evenly, found {batch_size}"
            )
        found = torch.cuda.device_count()
        if found and self.devices > found:
            raise ConfigurationError(f"expected at most devices={found}, as there are, found {self.devices}")

    def take_share(self) -> None:
        """Use this process' GPU, and no more threads than leave as many for the others of this node."""
        if self.devices == 1:
            return
        share = max((os.cpu_count() or 1) // self.devices, 1)
        torch.set_num_threads(min(torch.get_num_threads(), share))
        if torch.cuda.is_available():
            rank = os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
            torch.cuda.set_device(int(rank))

    def trainer(self, *, callbacks: Iterable[lightning.Callback], **options: Any) -> lightning.Trainer:
        """Lightning's trainer of these processes.

        Raises:
            ConfigurationError: processes that a cluster's scheduler has not provided for.
        """
        if self.processes == 1:
            return lightning.Trainer(accelerator="auto", devices=1, callbacks=list(callbacks), **options)
        try:
            return lightning.Trainer(
                accelerator="cuda" if torch.cuda.is_available() else "cpu",
                devices=self.devices,
                num_nodes=self.nodes,
                # Buffers are constants; to send them would tie processes together in validation.
                strategy=DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True),
                use_distributed_sampler=False,
                callbacks=[*callbacks, _KeepTermination()],
                **options,
            )
        except (MisconfigurationException, ValueError) as error:
            raise ConfigurationError(f"devices={self.devices}, nodes={self.nodes}: {error}") from error


ALONE = Distribution()
"""One process, as most trainings are."""


@contextmanager
def ending_together(trainer: lightning.Trainer) -> Iterator[None]:
    """End the processes of a training that this one launches, or that launched it, when one of them fails.

    Raises:
        ProcessError: another process is gone.
        KeyboardInterrupt: an interrupt, that Lightning makes an exit of.
    """
    watch = _Watch(trainer)
    if trainer.world_size > 1:
        watch.start()
    try:
        yield
    except SystemExit as error:
        watch.kill()
        raise KeyboardInterrupt from error
    except BaseException as error:
        if trainer.world_size > 1 and _misses_a_process(error):
            time.sleep(_GRACE_SECONDS)  # the watch ends this process, and so may a scheduler
            raise ProcessError("another process of this training has ended: see what it said") from error
        watch.kill()
        raise
    watch.finish()


def _misses_a_process(error: BaseException) -> bool:
    lost = isinstance(error, torch.distributed.DistError)
    return lost or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


class _KeepTermination(lightning.Callback):
    """Leaves SIGTERM to whom it belonged: Lightning's handler waits for processes that wait for this one."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: object) -> None:
        """Lightning has just taken it."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


class _Watch(threading.Thread):
    """Ends this process once one that it launched fails, or the one that launched it ends.

    Lightning's own watch would kill this process, too, so that nothing could be said of it.
    """

    def __init__(self, trainer: lightning.Trainer) -> None:
        super().__init__(daemon=True, name="watch-of-processes")
        self.launcher: Any = trainer.strategy.launcher
        self.expected = trainer.num_devices - 1
        self.launched: list[Any] = []
        if trainer.local_rank == 0:
            os.environ[_LAUNCHER] = str(os.getpid())  # for what is launched from here
        # The launcher may have ended before this is reached, and another process be the parent.
        self.parent = int(os.environ.get(_LAUNCHER, os.getppid())) if trainer.local_rank else None
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(_PAUSE_SECONDS):
            self._take_over()
            statuses = [process.poll() for process in self.launched]
            if any(statuses) or self.parent not in (None, os.getppid()):
                self.kill()
                for rank, status in enumerate(statuses, start=1):
                    if status and not 0 < status < _LEAST_SIGNALLED:  # others have said why
                        sys.stderr.write(f"ssldm: process {rank} of this training was killed ({status})\n")
                rich.get_console().show_cursor()
                os._exit(_FAILED)

    def kill(self) -> None:
        """End what was launched, also where it waits for others."""
        self.over.set()
        for process in [*self.launched, *self._processes]:
            process.send_signal(signal.SIGKILL)

    def finish(self) -> None:
        """Wait until what was launched has come to its end, too."""
        self.over.set()
        for process in [*self.launched, *self._processes]:
            process.wait()

    @property
    def _processes(self) -> list[Any]:
        return getattr(self.launcher, "procs", [])

    def _take_over(self) -> None:
        """Take the processes from Lightning's watch, which ends when it has none."""
        if self.expected and len(self._processes) == self.expected:
            self.launched = list(self._processes)
            self._processes.clear()
