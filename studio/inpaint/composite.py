"""Putting the painted part back, and proving that nothing else changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from studio.inpaint.masks import grow
from studio.inpaint.prefill import fill_smoothly

Array = np.ndarray[Any, Any]

_LARGEST_CORRECTION = 48.0  # levels; a larger difference is content, not colour
_TEXTURE_SIGMA = 4.0  # pixels; finer differences are texture


@dataclass(frozen=True, slots=True)
class Untouched:
    """How many pixels outside the final mask there are, and how many of them changed (0 unless we have a bug)."""

    changed: int
    outside: int

    def sentence(self) -> str:
        """Say it: "0 of 57,600 pixels outside the mask changed"."""
        return f"{self.changed:,} of {self.outside:,} pixels outside the mask changed"


def composite(source: Array, painted: Array, final_mask: Array) -> Array:
    """Blend `painted` into `source` by `final_mask` / 255; where the mask is zero the source is bit-identical.

    Args:
        source: (h, w, 3) or (h, w, 4) uint8. A transparent source becomes opaque as far as it is painted.
        painted: (h, w, 3) uint8.
        final_mask: (h, w) uint8.
    """
    share = final_mask.astype(np.float32)[..., None] / 255
    result = source.copy()
    colours = source[..., :3]
    if source.shape[2] == 4:
        # Colours under full transparency are arbitrary, so they take no part in the blend.
        alpha = source[..., 3:].astype(np.float32) / 255
        covered = share + alpha * (1 - share)
        blended = (painted * share + colours * alpha * (1 - share)) / np.maximum(covered, 1e-6)
        result[..., 3] = np.where(final_mask > 0, np.rint(255 * covered[..., 0]), source[..., 3])
    else:
        blended = painted * share + colours * (1 - share)
    result[..., :3] = np.where(final_mask[..., None] > 0, np.rint(np.clip(blended, 0, 255)), colours)
    return result


def count_untouched(source: Array, result: Array, final_mask: Array) -> Untouched:
    """Compare `result` with `source` (same shape) where `final_mask` (h, w) is zero, pixel by pixel."""
    outside = final_mask == 0
    changed = (source != result).any(axis=-1) & outside
    return Untouched(int(changed.sum()), int(outside.sum()))


def match_seam(painted: Array, source: Array, hole: Array, *, band: int = 16) -> Array:
    """Return `painted` with its colours fitted to `source` along the edge of `hole`.

    Outside the hole both show the same thing, so their difference there is what the model gets wrong about
    colour (a first stage is never exact). The difference within `band` pixels of the hole is spread smoothly
    into it and added: the membrane of Poisson blending, by pull and push.

    Args:
        painted: (h, w, 3) uint8, what the model made, the surroundings included.
        source: (h, w, 3) uint8.
        hole: (h, w) bool.
        band: Width, in pixels, of the surroundings that are compared.

    Source: Pérez et al. 2003, "Poisson image editing"; Farbman et al. 2009, "Coordinates for instant image cloning".
    """
    near = (grow(hole.astype(np.float32), band) > 0) & ~hole
    if not near.any():
        return painted.copy()
    difference = np.clip(source.astype(np.float32) - painted, -_LARGEST_CORRECTION, _LARGEST_CORRECTION)
    smooth = fill_smoothly(_local_mean(difference, near), near.astype(np.float32))
    return np.rint(np.clip(painted + smooth, 0, 255)).astype(np.uint8)


def _local_mean(values: Array, known: Array) -> Array:
    """Return the local mean of `values` (h, w, c) over the `known` (h, w) pixels: colour without texture."""
    weights = known.astype(np.float32)
    total = cv2.GaussianBlur(weights, (0, 0), _TEXTURE_SIGMA)[..., None]
    return cv2.GaussianBlur(values * weights[..., None], (0, 0), _TEXTURE_SIGMA) / np.maximum(total, 1e-6)
