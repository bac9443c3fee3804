"""Commands, and how every failure ends: exit status 2 and one line on standard error."""

import sys
import warnings
from importlib import import_module
from typing import Any

import typer

from ssldm.errors import SsldmError

# Typer brings its own click in some versions: the base of all errors in the arguments, wherever it lives.
_UsageError: Any = typer.BadParameter.__mro__[1]
_COMMANDS = ("demo", "archive", "train", "nowcast", "verify", "plot", "model")


def _app() -> typer.Typer:
    app = typer.Typer(
        help="Ensemble rain nowcasting from radar with spacetime separable latent diffusion.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for name in _COMMANDS:
        import_module(f"ssldm.cli.{name}").register(app)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0, or with 2 and one line that says what was wrong."""
    warnings.showwarning = _show_warning
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status = _app()(args=given or ["--help"], prog_name="ssldm", standalone_mode=False)
    except (SsldmError, OSError) as error:
        _fail(str(error))
    except _UsageError as error:
        _fail(error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> None:
    typer.echo(f"ssldm: {' '.join(message.split())}", err=True)
    sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Our own warnings in one line; those of libraries are for developers, not for users."""
    if category.__module__.startswith("ssldm"):
        typer.echo(f"ssldm: note: {message}", err=True)
