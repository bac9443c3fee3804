"""Configurations in YAML files, with every fault in one line."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from ssldm.config import Config, first_fault
from ssldm.errors import ConfigurationError

C = TypeVar("C", bound=Config)


def parsed(config: type[C], given: object, where: str = "") -> C:
    """A configuration by its keys.

    Args:
        config: which.
        given: its keys and values.
        where: to begin an error with, such as the name of a file.

    Raises:
        ConfigurationError: other keys, or values that do not fit.
    """
    try:
        return config.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(f"{where}{first_fault(error, config)}") from error


def read_yaml(config: type[C], path: Path, what: str) -> C:
    """A configuration in a file; an empty one has the usual values.

    Args:
        config: which.
        path: of the file.
        what: to call it in an error, such as "products".

    Raises:
        ConfigurationError: no such file, no YAML, or something else in it.
    """
    try:
        given = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{path}: expected {what} in YAML ({' '.join(str(error).split())})"
        ) from error
    return parsed(config, {} if given is None else given, f"{path}: ")
