"""Undo and redo for a token map: every operation is kept with the inverse of what it changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studio.codebook.neighbours import CodeSpace
from studio.codebook.operations import Operation
from studio.codebook.tokens import TokenMap
from studio.errors import InvalidRequest

MAX_OPERATIONS = 10_000


@dataclass(frozen=True, eq=False, slots=True)
class Delta:
    """What one operation changed: flat cell indices, and the codes before and after; all (n,)."""

    cells: NDArray[np.int64]
    before: NDArray[np.int32]
    after: NDArray[np.int32]


class History:
    """A map being edited.

    `start` stays as it was; `map` is the current state; `operations` is the recipe that leads from one to the
    other, so that `apply(start, operations, space) == map` at all times.
    """

    def __init__(self, start: TokenMap, space: CodeSpace) -> None:
        self.start = start
        self._space = space
        self._codes = start.codes.copy()
        self._done: list[tuple[Operation, Delta]] = []
        self._undone: list[tuple[Operation, Delta]] = []

    @property
    def map(self) -> TokenMap:
        """The current map."""
        return self.start.with_codes(self._codes)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations in force, oldest first."""
        return tuple(operation for operation, _ in self._done)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return bool(self._undone)

    def do(self, operation: Operation) -> Delta:
        """Apply `operation`; what was undone before is forgotten. One that changes nothing is not kept."""
        if len(self._done) >= MAX_OPERATIONS:
            raise InvalidRequest(
                f"This picture has {MAX_OPERATIONS:,} operations, the most that a recipe keeps.",
                "Save it and go on from the saved picture.",
            )
        after = operation.apply(self._codes, self._space)
        cells = np.flatnonzero(after != self._codes)
        delta = Delta(cells, self._codes.ravel()[cells], after.ravel()[cells])
        if len(cells):
            self._codes = after
            self._done.append((operation, delta))
            self._undone.clear()
        return delta

    def undo(self) -> Delta | None:
        """Take back the last operation and return its delta, or None when there is none."""
        if not self._done:
            return None
        entry = self._done.pop()
        self._write(entry[1].cells, entry[1].before)
        self._undone.append(entry)
        return entry[1]

    def redo(self) -> Delta | None:
        """Do the last undone operation again and return its delta, or None when there is none."""
        if not self._undone:
            return None
        entry = self._undone.pop()
        self._write(entry[1].cells, entry[1].after)
        self._done.append(entry)
        return entry[1]

    def _write(self, cells: NDArray[np.int64], codes: NDArray[np.int32]) -> None:
        changed = self._codes.copy()
        changed.ravel()[cells] = codes
        self._codes = changed
