"""Overlapping tiles of a picture, and blending them back without seams.

Weights fall off as a raised cosine over the overlap and are normalised, so that where tiles agree nothing changes;
this is the usual weighted overlap-add (Allen and Rabiner 1977), in two dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from studio.errors import InvalidRequest
from studio.inpaint.geometry import Box

Array = np.ndarray[Any, Any]


def tile_boxes(width: int, height: int, *, side: int, overlap: int) -> list[Box]:
    """Return boxes of `side` pixels that cover a picture, row by row, neighbours sharing `overlap` pixels or more.

    Args:
        width, height: Of the picture, in pixels, each at least `side`.
        side: Of a tile.
        overlap: In [0, side / 2].

    Raises:
        InvalidRequest: The picture is smaller than a tile, or the overlap is out of range.
    """
    if min(width, height) < side:
        raise InvalidRequest(f"A picture of {width}×{height} pixels is smaller than a tile of {side}.")
    if not 0 <= overlap <= side // 2:
        raise InvalidRequest(f"The overlap must be between 0 and {side // 2} pixels, not {overlap}.")
    lefts, tops = _starts(width, side, overlap), _starts(height, side, overlap)
    return [Box(left, top, left + side, top + side) for top in tops for left in lefts]


def blended(tiles: Sequence[tuple[Box, Array]], *, width: int, height: int, overlap: int) -> Array:
    """Return one picture (height, width, 3) uint8 of tiles (box, (side, side, 3) uint8) that cover it."""
    total = np.zeros((height, width, 3), np.float64)
    weight = np.zeros((height, width, 1), np.float64)
    for box, tile in tiles:
        share = np.outer(_ramp(box.height, overlap), _ramp(box.width, overlap))[..., None]
        total[box.top : box.bottom, box.left : box.right] += tile * share
        weight[box.top : box.bottom, box.left : box.right] += share
    return np.clip(np.rint(total / weight), 0, 255).astype(np.uint8)


def _starts(length: int, side: int, overlap: int) -> list[int]:
    count = 1 if length <= side else -(-(length - overlap) // (side - overlap))
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]


def _ramp(length: int, overlap: int) -> Array:
    """Return weights in (0, 1] that rise over the first `overlap` pixels and fall over the last."""
    place = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(place / max(1, overlap), 0, 1)) + 1e-6)
