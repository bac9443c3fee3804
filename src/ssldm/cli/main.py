"""Commands, and how every failure ends: exit status 2 and one line on standard error."""

import errno
import logging
import os
import signal
import sys
import threading
import warnings
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from ssldm.errors import ConfigurationError, NoDataError, OutputError, SsldmError
from ssldm.signals import hear_where_ignored

# Typer brings its own click in some versions: the base of all errors in the arguments, wherever it lives.
_UsageError: Any = typer.BadParameter.__mro__[1]
_COMMANDS = (
    "demo",
    "archive",
    "train",
    "nowcast",
    "hindcast",
    "verify",
    "products",
    "plot",
    "model",
    "serve",
)
_USAGE, _NO_DATA, _DAMAGED, _RESOURCES = 2, 3, 4, 5
_INTERRUPTED, _TERMINATED = 130, 143
# Packages that only some commands need, and the extra that brings each.
_EXTRAS = dict.fromkeys(("diffusers", "lightning", "tensorboard"), "train")
_EXTRAS |= dict.fromkeys(("fastapi", "prometheus_client", "uvicorn"), "serve")
_EXTRAS["distributed"] = "cluster"
_EXTRAS |= dict.fromkeys(("jinja2", "pysteps", "skimage", "threadpoolctl"), "verify")
_SHORT_OF = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EIO}


def _app() -> typer.Typer:
    app = typer.Typer(
        help="Ensemble rain nowcasting from radar with spacetime separable latent diffusion.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_global_options)
    for name in _COMMANDS:
        import_module(f"ssldm.cli.{name}").register(app)
    return app


def _global_options(
    context: typer.Context,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode",
            envvar="SSLDM_DETAILED_EXITCODE",
            help="Tell failures apart by exit status: 2 usage, 3 no or late data, 4 damaged or unfit files, "
            "5 disk or memory. Else every failure is 2.",
        ),
    ] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if show_version:
        typer.echo(f"ssldm {version('ssldm')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    _detailed.append(detailed_exitcode)


# Whether the command that runs tells failures apart.
_detailed: list[bool] = []


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, or with 2 and one line that says what was wrong."""
    _be_heard_in_one_line()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        hear_where_ignored({_Terminated: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT})
    _detailed.clear()
    try:
        status = _app()(args=arguments, prog_name="ssldm", standalone_mode=False)
    except (SsldmError, OSError, MemoryError, ImportError) as error:
        if isinstance(error, ImportError) and not _lacks_memory(error):
            _fail_for_want_of_an_extra(error)
            raise
        _fail(str(error) or "out of memory", _status_of(error))
    except SystemExit:  # click's way to say that nobody reads what it prints; the work is done
        status = 0
    except _UsageError as error:
        _fail(error.format_message(), _USAGE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(_INTERRUPTED)
    except _Terminated:
        sys.exit(_TERMINATED)
    sys.exit(status if isinstance(status, int) else 0)


class _Terminated(BaseException):
    """What a service manager's request to stop does: as an interrupt, it leaves nothing half-written."""


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def _status_of(error: BaseException) -> int:
    """The detailed exit status of a failure."""
    if isinstance(error, ConfigurationError | OutputError):
        return _USAGE
    if isinstance(error, NoDataError):
        return _NO_DATA
    if isinstance(error, SsldmError):
        return _DAMAGED
    short = isinstance(error, OSError) and error.errno in _SHORT_OF
    return _RESOURCES if short or _lacks_memory(error) else _USAGE


def _lacks_memory(error: BaseException) -> bool:
    """Whether there was too little memory, also for a library that was to be loaded."""
    told = ("failed to map segment", "cannot allocate memory")
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in told)


def _fail(message: str, status: int) -> None:
    typer.echo(f"ssldm: {' '.join(message.split())}", err=True)
    sys.exit(status if any(_detailed) else _USAGE)


def _fail_for_want_of_an_extra(error: ImportError) -> None:
    """Say which extra of this package brings what could not be imported, if one does."""
    module = (error.name or "").partition(".")[0]
    if module in _EXTRAS:
        _fail(f'expected {module}, found none: pip install "ssldm[{_EXTRAS[module]}]"', _USAGE)


def _be_heard_in_one_line() -> None:
    """Warnings are notes, whatever the interpreter was told: those of libraries are not for users."""
    warnings.resetwarnings()
    warnings.simplefilter("default")
    warnings.showwarning = _show_warning
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # of folders that it cannot write to
    # Worker processes would inherit both.
    sys.warnoptions.clear()
    os.environ.pop("PYTHONWARNINGS", None)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Our own warnings in one line; those of libraries are for developers, not for users."""
    if category.__module__.startswith("ssldm"):
        typer.echo(f"ssldm: note: {message}", err=True)
