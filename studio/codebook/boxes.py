"""Boxes of tokens or pixels, and where two maps differ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from studio.codebook.tokens import TokenMap


class Box(NamedTuple):
    """A half-open box of rows and columns."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, by: int, shape: tuple[int, int]) -> Box:
        """Return the box `by` larger on each side, clipped to `shape`."""
        return Box(
            max(0, self.top - by),
            max(0, self.left - by),
            min(shape[0], self.bottom + by),
            min(shape[1], self.right + by),
        )

    def shrunk(self, shape: tuple[int, int]) -> Box:
        """Return the box smaller by one on each side that is not an edge of `shape`."""
        return Box(
            self.top + (self.top > 0),
            self.left + (self.left > 0),
            self.bottom - (self.bottom < shape[0]),
            self.right - (self.right < shape[1]),
        )

    def scaled(self, by: int) -> Box:
        """Return the box on a grid `by` times finer."""
        return Box(self.top * by, self.left * by, self.bottom * by, self.right * by)

    def halved(self) -> Box:
        """Return the smallest box on a grid twice as coarse that covers this one."""
        return Box(self.top // 2, self.left // 2, -(-self.bottom // 2), -(-self.right // 2))

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Return the slices of this box inside an array that holds `outer`."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )


def changed_box(first: TokenMap, second: TokenMap) -> Box | None:
    """Return the smallest box of tokens around all differences, or None."""
    rows, columns = np.nonzero(first.codes != second.codes)
    if not len(rows):
        return None
    return Box(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
