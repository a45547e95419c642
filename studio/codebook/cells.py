"""Which tokens a gesture touches: strokes, boxes, floods. Cells are (row, column) pairs inside a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from studio.errors import InvalidRequest

Cell = tuple[int, int]
Mask = NDArray[np.bool_]


def brush_cells(
    cell: Cell, size: int, *, shape: tuple[int, int], tip: Literal["square", "round"] = "round"
) -> list[Cell]:
    """Return the cells under a brush `size` tokens wide centred on `cell`, clipped to the grid `shape`."""
    reach = (size - 1) / 2
    offset = 0.5 if size % 2 == 0 else 0.0
    row, column = cell
    touched = []
    for r in range(int(np.floor(row - reach)), int(np.ceil(row + reach)) + 1):
        for c in range(int(np.floor(column - reach)), int(np.ceil(column + reach)) + 1):
            dr, dc = r - row - offset, c - column - offset
            near = max(abs(dr), abs(dc)) <= reach if tip == "square" else dr * dr + dc * dc <= (reach + 0.25) ** 2
            if near and 0 <= r < shape[0] and 0 <= c < shape[1]:
                touched.append((r, c))
    return touched


def stroke_cells(
    points: Sequence[Cell], size: int, *, shape: tuple[int, int], tip: Literal["square", "round"] = "round"
) -> tuple[Cell, ...]:
    """Return the cells under a stroke through `points`, each once, in the order painted; gaps are bridged."""
    seen: dict[Cell, None] = {}
    for start, end in zip(points, points[1:] or points, strict=False):
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for i in range(steps + 1):
            at = (
                round(start[0] + (end[0] - start[0]) * i / steps),
                round(start[1] + (end[1] - start[1]) * i / steps),
            )
            seen.update(dict.fromkeys(brush_cells(at, size, shape=shape, tip=tip)))
    return tuple(seen)


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
