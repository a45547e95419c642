"""Which tokens a gesture touches: boxes, floods. Cells are (row, column) pairs inside a grid."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.errors import InvalidRequest

Cell = tuple[int, int]
Mask = NDArray[np.bool_]


def box_cells(top: int, left: int, height: int, width: int) -> tuple[Cell, ...]:
    """Return the cells of a box, row by row."""
    return tuple((r, c) for r in range(top, top + height) for c in range(left, left + width))


def mask_of(cells: Iterable[Cell] | None, shape: tuple[int, int]) -> Mask:
    """Return a boolean (h, w) mask of `cells`; None means everywhere.

    Raises:
        InvalidRequest: A cell lies outside the grid.
    """
    if cells is None:
        return np.ones(shape, bool)
    mask = np.zeros(shape, bool)
    index = np.array(list(cells), dtype=np.int64).reshape(-1, 2)
    if len(index):
        if index.min() < 0 or (index >= shape).any():
            wrong = index[((index < 0) | (index >= shape)).any(1)][0]
            raise InvalidRequest(
                f"Row {wrong[0]}, column {wrong[1]} is outside the grid of {shape[0]} rows and {shape[1]} columns.",
                "Use cells of this picture.",
            )
        mask[index[:, 0], index[:, 1]] = True
    return mask


def cells_of(mask: Mask) -> tuple[Cell, ...]:
    """Return the cells of a boolean (h, w) mask, row by row."""
    return tuple((int(r), int(c)) for r, c in zip(*np.nonzero(mask), strict=True))


def flood(codes: NDArray[np.integer], cell: Cell) -> Mask:
    """Return the 4-connected area of equal codes around `cell` as a mask (h, w)."""
    mask_of([cell], codes.shape)  # the cell must be on the grid
    same = (codes == codes[cell]).astype(np.uint8)
    _, labels = cv2.connectedComponents(same, connectivity=4)
    return labels == labels[cell]
