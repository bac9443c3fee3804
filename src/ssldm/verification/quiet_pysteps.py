"""pysteps, imported without its announcement on standard output."""

import io
from contextlib import redirect_stdout
from importlib import import_module
from types import ModuleType


def pysteps_module(name: str) -> ModuleType:
    """The module ``pysteps.<name>``."""
    with redirect_stdout(io.StringIO()):
        return import_module(f"pysteps.{name}")
