"""What a model starts from in the masked part, and the smooth filling that several parts of this package need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from studio.errors import UnknownName

Array = np.ndarray[Any, Any]

_REPAIR_RADIUS = 5.0


def prefill(picture: Array, hole: Array, *, how: str, colour: str = "#808080", seed: int = 0) -> Array:
    """Return `picture` (h, w, 3) uint8 with its `hole` (h, w) bool filled; pixels outside the hole are unchanged.

    Args:
        picture: The source.
        hole: True where to fill.
        how: A key of PREFILLS.
        colour: "#rrggbb", for the flat colour.
        seed: For the noise.

    Raises:
        UnknownName: There is no such pre-fill.
    """
    if how not in PREFILLS:
        raise UnknownName("pre-fill", how, PREFILLS, field="prefill")
    if not hole.any():
        return picture.copy()
    filled = PREFILLS[how](picture, hole, colour, seed)
    return np.where(hole[..., None], filled, picture)


def fill_smoothly(values: Array, weights: Array) -> Array:
    """Spread the known `values` (h, w, c) float32 smoothly over all pixels by pull and push.

    Where `weights` (h, w) are 1 the values stay nearly as they are; where 0 they come from ever wider
    neighbourhoods. With no weight anywhere the result is zero.

    Source: Gortler et al. 1996, "The Lumigraph", section 3.4.
    """
    height, width = weights.shape
    if min(height, width) <= 1 or max(height, width) <= 2:
        total = weights.sum()
        mean = (values * weights[..., None]).sum((0, 1)) / total if total > 0 else np.zeros(values.shape[2])
        return np.where(weights[..., None] > 0, values, mean).astype(np.float32)
    small = ((width + 1) // 2, (height + 1) // 2)
    known = cv2.resize(weights.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    sums = cv2.resize((values * weights[..., None]).astype(np.float32), small, interpolation=cv2.INTER_AREA)
    means = sums.reshape(small[1], small[0], -1) / np.maximum(known, 1e-8)[..., None]
    coarse = fill_smoothly(means, np.minimum(1, 4 * known))
    coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    share = np.clip(weights, 0, 1)[..., None]
    return (share * values + (1 - share) * coarse).astype(np.float32)


def repair(picture: Array, hole: Array, *, method: int = cv2.INPAINT_TELEA, radius: float = _REPAIR_RADIUS) -> Array:
    """Fill `hole` (h, w) bool of `picture` (h, w, 3) uint8 with OpenCV's classical inpainting.

    A hole without any known pixel around it is left as it is.

    Source: Telea 2004, "An image inpainting technique based on the fast marching method"; Bertalmio et al.
    2001, "Navier-Stokes, fluid dynamics, and image and video inpainting".
    """
    if hole.all():
        return picture.copy()
    if min(hole.shape) < 3:  # OpenCV reads past the end of such thin pictures
        around = ((1, 1), (1, 1))
        padded = repair(np.pad(picture, (*around, (0, 0)), "edge"), np.pad(hole, around, "edge"), method=method)
        return padded[1:-1, 1:-1]
    return cv2.inpaint(picture, hole.astype(np.uint8), radius, method)


def _original(picture: Array, hole: Array, colour: str, seed: int) -> Array:
    return picture


def _blur(picture: Array, hole: Array, colour: str, seed: int) -> Array:
    if hole.all():
        return np.full_like(picture, 128)
    return _to_levels(fill_smoothly(picture.astype(np.float32), (~hole).astype(np.float32)))


def _telea(picture: Array, hole: Array, colour: str, seed: int) -> Array:
    return repair(picture, hole, method=cv2.INPAINT_TELEA)


def _navier_stokes(picture: Array, hole: Array, colour: str, seed: int) -> Array:
    return repair(picture, hole, method=cv2.INPAINT_NS)


def _colour(picture: Array, hole: Array, colour: str, seed: int) -> Array:
    return np.broadcast_to(np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8), picture.shape)


def _noise(picture: Array, hole: Array, colour: str, seed: int) -> Array:
    """Noise with the mean and spread of the surroundings, per channel."""
    known = picture[~hole].astype(np.float32) if not hole.all() else np.array([[0.0] * 3, [255.0] * 3])
    noise = np.random.default_rng(seed).standard_normal(picture.shape)
    return _to_levels(known.mean(axis=0) + noise * np.maximum(known.std(axis=0), 16))


def _to_levels(values: Array) -> Array:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


PREFILLS: dict[str, Callable[[Array, Array, str, int], Array]] = {
    "original": _original,
    "blur": _blur,
    "telea": _telea,
    "navier_stokes": _navier_stokes,
    "colour": _colour,
    "noise": _noise,
}
