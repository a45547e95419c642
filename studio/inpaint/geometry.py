"""Where the work happens: boxes, crops that suit a model, canvases that grow.

A crop may hang over the picture's edge when the picture is narrower than the model needs; what hangs over is
filled by reflection and thrown away again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

_MAX_ASPECT = 3.0
_MIN_SIDE = 64


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; `right` and `bottom` are one past the last."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.bottom - self.top

    def contains(self, other: Box) -> bool:
        """Tell whether `other` lies within."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )

    def clipped(self, width: int, height: int) -> Box:
        """Return the part inside a picture of `width` by `height`."""
        return Box(max(self.left, 0), max(self.top, 0), min(self.right, width), min(self.bottom, height))


def painted_box(mask: Array) -> Box:
    """Return the smallest box around the nonzero pixels of `mask` (h, w), of which there must be one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def plan_crop(painted: Box, canvas: tuple[int, int], *, padding: int) -> Box:
    """Return the part of `canvas` (width, height) to work on: `painted` and `padding` around it, made square.

    The box is widened to a square and shifted inside the canvas, as only-masked inpainting does elsewhere. In a
    canvas too narrow for the square it keeps the canvas's own width or height; only beyond an aspect of 3:1
    does it hang over the edge.
    """
    padded = Box(
        painted.left - padding, painted.top - padding, painted.right + padding, painted.bottom + padding
    ).clipped(*canvas)
    side = max(padded.width, padded.height)
    width = max(min(side, canvas[0]), math.ceil(min(side, canvas[1]) / _MAX_ASPECT))
    height = max(min(side, canvas[1]), math.ceil(width / _MAX_ASPECT))
    left, right = _place(padded.left, padded.right, width, canvas[0])
    top, bottom = _place(padded.top, padded.bottom, height, canvas[1])
    return Box(left, top, right, bottom)


def whole_crop(canvas: tuple[int, int]) -> Box:
    """Return the box of the whole `canvas` (width, height), hanging over where its aspect exceeds 3:1."""
    width = max(canvas[0], math.ceil(canvas[1] / _MAX_ASPECT))
    height = max(canvas[1], math.ceil(canvas[0] / _MAX_ASPECT))
    left, right = _place(0, canvas[0], width, canvas[0])
    top, bottom = _place(0, canvas[1], height, canvas[1])
    return Box(left, top, right, bottom)


def working_size(width: int, height: int, *, side: int, multiple: int) -> tuple[int, int]:
    """Return the size at which a model works on a crop: its aspect, about `side` squared pixels, on the grid.

    Both sides are multiples of `multiple` and at least 64 pixels.
    """
    scale = side / math.sqrt(width * height)
    least = math.ceil(_MIN_SIDE / multiple) * multiple
    return (
        max(round(width * scale / multiple) * multiple, least),
        max(round(height * scale / multiple) * multiple, least),
    )


def take(picture: Array, box: Box) -> Array:
    """Return a copy of the part of `picture` (h, w[, c]) in `box`; what hangs over the edge is reflected."""
    height, width = picture.shape[:2]
    rows = _reflected(np.arange(box.top, box.bottom), height)
    columns = _reflected(np.arange(box.left, box.right), width)
    return picture[np.ix_(rows, columns)].copy()


def put(picture: Array, patch: Array, box: Box) -> Array:
    """Return a copy of `picture` with `patch` in `box`; what hangs over the edge is dropped."""
    inside = box.clipped(picture.shape[1], picture.shape[0])
    result = picture.copy()
    result[inside.top : inside.bottom, inside.left : inside.right] = patch[
        inside.top - box.top : inside.bottom - box.top, inside.left - box.left : inside.right - box.left
    ]
    return result


def resize(picture: Array, size: tuple[int, int]) -> Array:
    """Resize a uint8 or float picture (h, w[, c]) to (width, height): area when shrinking, Lanczos when not."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture.copy()
    shrinks = size[0] * size[1] < width * height
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)


def resize_mask(mask: Array, size: tuple[int, int]) -> Array:
    """Resize a mask (h, w) to (width, height) so that no painted pixel is lost: each new pixel takes the
    greatest strength of all the old ones it touches."""
    rows = _greatest(mask, size[1])  # (height, w)
    return np.ascontiguousarray(_greatest(rows.T, size[0]).T)


def extend_canvas(picture: Array, extend: tuple[int, int, int, int]) -> tuple[Array, Array]:
    """Return `picture` (h, w, c) on a canvas larger by (left, top, right, bottom) pixels, and the mask of the new.

    The new part repeats the picture's edge; the mask (H, W) float32 is 1 there and 0 on the picture.
    """
    left, top, right, bottom = extend
    canvas = np.pad(picture, ((top, bottom), (left, right), (0, 0)), mode="edge")
    new = np.ones(canvas.shape[:2], np.float32)
    new[top : top + picture.shape[0], left : left + picture.shape[1]] = 0
    return canvas, new


def _greatest(mask: Array, length: int) -> Array:
    """Resize the first axis to `length`, each new row the greatest of the old rows it overlaps."""
    edges = np.arange(length + 1) * len(mask) / length
    starts, stops = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    return np.stack([mask[start:stop].max(axis=0) for start, stop in zip(starts, stops, strict=True)])


def _place(start: int, stop: int, length: int, limit: int) -> tuple[int, int]:
    """Centre `length` on [start, stop), shifted into [0, limit) where it fits, centred over it where not."""
    centred = (start + stop - length) // 2
    first = -((length - limit) // 2) if length >= limit else min(max(centred, 0), limit - length)
    return first, first + length


def _reflected(index: Array, length: int) -> Array:
    """Map any integer index into [0, length) by mirroring, edges repeated: ... 1 0 | 0 1 2 | 2 1 ..."""
    folded = np.mod(index, 2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)
