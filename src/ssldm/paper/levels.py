"""What networks of several levels have in common."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt

Multipliers = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
"""Widths of the levels as multiples of that of the finest."""


def check_groups(width: int, multipliers: Sequence[int], groups: int) -> None:
    """Refuse widths that group normalisation cannot divide.

    Raises:
        ValueError: the width of a level is no multiple of the number of groups.
    """
    if any(width * m % groups for m in multipliers):
        raise ValueError(
            f"width times each of multipliers must divide into groups={groups}, "
            f"found width={width} and multipliers={list(multipliers)}"
        )
