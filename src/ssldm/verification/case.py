"""One forecast beside what was observed: what every score is computed from."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ssldm.errors import ObservationError


@dataclass(frozen=True)
class Case:
    """A forecast of one window and its observation.

    Attributes:
        members: ``(m, t, h, w)`` in mm/h, 0 where it does not count.
        truth: ``(t, h, w)`` in mm/h, 0 where it does not count.
        valid: ``(t, h, w)``, the pixels that count: observed, and forecast by every contestant.
        groups: ``(m,)``, the number of the group that a member belongs to: members of different groups are
            independent of each other, those of one need not be.
    """

    members: NDArray[np.float32]
    truth: NDArray[np.float32]
    valid: NDArray[np.bool_]
    groups: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        members: NDArray[np.floating],
        truth: NDArray[np.floating],
        valid: NDArray[np.bool_] | None = None,
        groups: NDArray[np.integer] | None = None,
    ) -> Self:
        """A case whose pixels count where truth and all members are known and, if given, ``valid`` is true.

        Args:
            members, truth, valid: see `Case`, NaN where not known.
            groups: see `Case`; all members are independent where None.

        Raises:
            ObservationError: shapes that do not fit.
        """
        if members.ndim != 4 or members.shape[1:] != truth.shape:
            raise ObservationError(
                f"expected members (m, t, h, w) of an observation (t, h, w), "
                f"found {members.shape} and {truth.shape}"
            )
        groups = np.arange(len(members)) if groups is None else groups
        if groups.shape != (len(members),):
            raise ObservationError(
                f"expected a group for each of {len(members)} members, found groups {groups.shape}"
            )
        known = np.isfinite(truth) & np.isfinite(members).all(axis=0)
        counts = known if valid is None else known & valid
        return cls(
            np.where(counts, members, 0.0).astype(np.float32),
            np.where(counts, truth, 0.0).astype(np.float32),
            counts,
            np.unique(groups, return_inverse=True)[1].astype(np.int64),
        )

    @property
    def members_by_group(self) -> list[NDArray[np.float32]]:
        """The members ``(n, t, h, w)`` of each group."""
        return [self.members[self.groups == group] for group in range(int(self.groups.max()) + 1)]

    @property
    def mean(self) -> NDArray[np.float32]:
        """The ensemble mean ``(t, h, w)`` in mm/h."""
        return np.asarray(self.members.mean(axis=0, dtype=np.float64), np.float32)


def blocks(field: NDArray[np.generic], side: int) -> NDArray[np.generic]:
    """Disjoint blocks ``(..., h, w) → (..., h // side, w // side, side²)``; the rest is dropped."""
    height, width = field.shape[-2] // side, field.shape[-1] // side
    cut = field[..., : height * side, : width * side]
    parts = cut.reshape(*field.shape[:-2], height, side, width, side)
    return np.swapaxes(parts, -3, -2).reshape(*field.shape[:-2], height, width, side * side)


def pooled(case: Case, side: int, how: str) -> Case:
    """The case on blocks of ``side`` pixels; a block counts where at least half of its pixels do.

    Args:
        case: at full resolution.
        side: of a block in pixels.
        how: "mean" or "max", over the pixels that count.
    """
    if side == 1:
        return case
    counts = blocks(case.valid, side)
    number = counts.sum(axis=-1)
    valid = number * 2 >= side * side
    # Pixels that do not count are 0, so they change neither the sum nor the maximum.
    members, truth = (
        blocks(field, side).sum(axis=-1) / np.maximum(number, 1)
        if how == "mean"
        else blocks(field, side).max(axis=-1)
        for field in (case.members, case.truth)
    )
    return Case.of(members, truth, valid, case.groups)
