"""Commands, and how every failure ends: exit status 2 and one line on standard error."""

import sys
import warnings
from importlib import import_module

import click
import typer

from ssldm.errors import SsldmError

_COMMANDS = ("demo", "archive", "train", "nowcast", "verify", "plot", "model")


def _app() -> typer.Typer:
    app = typer.Typer(
        help="Ensemble rain nowcasting from radar with spacetime separable latent diffusion.",
        no_args_is_help=True,
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
    try:
        status = _app()(args=arguments, prog_name="ssldm", standalone_mode=False)
    except SsldmError as error:
        _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> None:
    typer.echo(f"ssldm: {' '.join(message.split())}", err=True)
    sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Our own warnings in one line; those of libraries are for developers, not for users."""
    if category.__module__.startswith("ssldm"):
        typer.echo(f"ssldm: note: {message}", err=True)
