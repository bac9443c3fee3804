"""The command line."""

from ssldm.cli.main import main

__all__ = ["main"]
