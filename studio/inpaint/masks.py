"""Masks: reading what people upload, growing, shrinking, feathering, inverting.

A mask is a float32 array (h, w) in [0, 1]: 0 keeps the pixel, 1 repaints it, and between is the strength of a
soft mask. The final mask that decides what may change is uint8 (`quantise`), so that "zero" is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from studio.errors import InvalidRequest

Array = np.ndarray[Any, Any]

EMPTY = "The mask is empty: paint the part to change."
_THRESHOLD = 128  # luminance from here on counts as painted
_PURE = 32  # levels from black or white that JPEG ringing and soft brushes may leave
_PHOTO_SHARE = 0.25  # a drawn mask has fewer pixels than this between black and white
_PHOTO_CHROMA = 24  # levels between the channels from which a pixel counts as coloured


@dataclass(frozen=True, slots=True)
class MaskReading:
    """A mask as the artist meant it; `notes` states every conversion."""

    mask: Array
    notes: tuple[str, ...] = ()


def read_mask(picture: Image.Image, size: tuple[int, int], *, soft: bool = False) -> MaskReading:
    """Return the mask that `picture` shows for a source of `size` (width, height): white is what to paint.

    A mask of another size is resized; a photo is cut at middle grey (with `soft`, its brightness is the
    strength); transparent parts are kept, and black strokes on a transparent ground count as painted. Each of
    these is stated in a note.

    Raises:
        InvalidRequest: Nothing is painted.
    """
    notes: list[str] = []
    levels = _levels(picture, notes)
    if (levels.shape[1], levels.shape[0]) != size:
        notes.append(
            f"The mask was {levels.shape[1]}×{levels.shape[0]}, the picture is {size[0]}×{size[1]}: it was resized."
        )
        levels = cv2.resize(
            levels, size, interpolation=cv2.INTER_AREA if levels.shape[1] > size[0] else cv2.INTER_LINEAR
        )
    if soft:
        mask = levels.astype(np.float32) / 255
        mask[levels < 4] = 0
    else:
        mask = (levels >= _THRESHOLD).astype(np.float32)
    require_painted(mask)
    if mask.min() == 1:
        notes.append("The mask covers the whole picture: all of it is repainted.")
    return MaskReading(mask, tuple(notes))


def require_painted(mask: Array) -> None:
    """Raise InvalidRequest unless at least one pixel is painted."""
    if not mask.any():
        raise InvalidRequest(EMPTY, field="mask")


def invert(mask: Array) -> Array:
    """Return the mask of everything else."""
    return np.float32(1) - mask


def grow(mask: Array, pixels: int) -> Array:
    """Widen the painted part by `pixels`, or shrink it when negative; distances are Euclidean.

    A grown pixel takes the strength of the nearest painted one. Shrinking does not eat from the picture's
    own edges: what lies beyond them counts as painted.
    """
    if pixels == 0 or not mask.any():
        return mask
    if pixels < 0:
        return np.where(_distance_to(mask == 0) > -pixels, mask, np.float32(0))
    distance, nearest = _nearest_painted(mask)
    return np.where(distance <= pixels, nearest, np.float32(0))


def feather(mask: Array, pixels: int) -> Array:
    """Add a soft edge of `pixels` around the painted part; the painted part itself stays as it is.

    The edge falls as the smoothstep 3t² - 2t³ of t = 1 - d / (pixels + 1), so it is zero from pixels + 1 on.
    """
    if pixels == 0 or not mask.any():
        return mask
    distance, nearest = _nearest_painted(mask)
    t = np.clip(1 - distance / (pixels + 1), 0, 1)
    return np.where(mask > 0, mask, nearest * (t * t * (3 - 2 * t))).astype(np.float32)


def opacity(strength: Array) -> Array:
    """Return how much of the repainted picture shows where a soft mask has `strength`.

    The model already changes less where the strength is small, so all but the faintest strengths show fully:
    a second attenuation would leave ghosts of the source.
    """
    return np.minimum(np.float32(1), 4 * strength)


def quantise(mask: Array) -> Array:
    """Return the mask as uint8 (h, w), 0 to 255: the final mask, in which zero means untouched."""
    return np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)


def _levels(picture: Image.Image, notes: list[str]) -> Array:
    """Brightness 0 to 255 (h, w) over black, or the alpha channel where only that says what was painted."""
    rgba = np.asarray(picture.convert("RGBA"))
    alpha = rgba[..., 3]
    grey = cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2GRAY)
    if alpha.min() < 255:
        over_black = (grey.astype(np.uint16) * alpha // 255).astype(np.uint8)
        if over_black.max() < _THRESHOLD <= alpha.max():
            notes.append("The mask has no white: its painted, opaque part was taken.")
            return alpha
        return over_black
    between = np.mean((grey >= _PURE) & (grey <= 255 - _PURE))
    coloured = np.mean(np.ptp(rgba[..., :3].astype(np.int16), axis=-1) > _PHOTO_CHROMA)
    if between > _PHOTO_SHARE or coloured > _PHOTO_SHARE:
        notes.append("The mask looks like a photo: everything lighter than middle grey is painted.")
    return grey


def _distance_to(target: Array) -> Array:
    """Distance of each pixel to the nearest true one, float32; infinite when there is none."""
    if not target.any():
        return np.full(target.shape, np.inf, np.float32)
    return cv2.distanceTransform((~target).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _nearest_painted(mask: Array) -> tuple[Array, Array]:
    """Return each pixel's distance to the nearest painted pixel, and that pixel's strength.

    Two passes because OpenCV's labels come with the 5x5 approximation of the distance only.
    """
    painted = mask > 0
    _, labels = cv2.distanceTransformWithLabels(
        (~painted).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    strength = np.zeros(labels.max() + 1, np.float32)
    strength[labels[painted]] = mask[painted]
    return _distance_to(painted), strength[labels]
