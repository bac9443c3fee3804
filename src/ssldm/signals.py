"""Signals that come where no exception may be raised, or none would be heard."""

import os
import signal
import sys
import threading

_PAUSE_SECONDS = 0.02


def send_again(number: int) -> None:
    """Send this process a signal again, a moment later."""
    again = threading.Timer(_PAUSE_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def hear_where_ignored(signal_of: dict[type[BaseException], signal.Signals]) -> None:
    """Send a signal again whose exception Python ignored, as in destructors and callbacks of weak references.

    Args:
        signal_of: what the handler of each signal raises.
    """

    def hook(ignored: "sys.UnraisableHookArgs") -> None:
        if ignored.exc_type in signal_of:
            send_again(signal_of[ignored.exc_type])
        else:
            sys.__unraisablehook__(ignored)

    sys.unraisablehook = hook
