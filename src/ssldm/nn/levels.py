"""What networks of several levels have in common."""

from collections.abc import Sequence


def check_groups(width: int, multipliers: Sequence[int], groups: int) -> None:
    """Refuse widths that group normalisation cannot divide.

    Raises:
        ValueError: the width of a level is no multiple of the number of groups.
    """
    if any(width * m % groups for m in multipliers):
        raise ValueError(f"width {width} times each multiplier must divide into {groups} groups")
