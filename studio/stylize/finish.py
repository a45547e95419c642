"""What is done to every method's result alike: back to the content's size, structure, colours, transparency."""

from __future__ import annotations

from typing import Any

import numpy as np

from studio.inpaint.geometry import resize
from studio.stylize.lab import to_lab, to_rgb
from studio.stylize.smoothing import guided_filter

Array = np.ndarray[Any, Any]

_EDGE_VARIANCE = 16.0  # lightness units squared: fainter than an edge


def keep_structure(result: Array, content: Array, *, amount: float) -> Array:
    """Return `result` with the share `amount` of its fine lightness detail taken from `content` instead.

    Lightness is split by a guided filter into a base, which keeps the edges, and the detail upon it. Both are
    (h, w, 3) uint8.

    Source: He et al. 2013, "Guided image filtering", section 4.3 (detail layers).
    """
    if amount == 0:
        return result
    stylized, original = to_lab(result), to_lab(content)
    radius = max(2, max(content.shape[:2]) // 48)

    def base(lightness: Array) -> Array:
        plane = np.ascontiguousarray(lightness)
        return guided_filter(plane, plane, radius=radius, epsilon=_EDGE_VARIANCE)[..., 0]

    lightness = stylized[..., 0]
    detail = lightness - base(lightness)
    wanted = original[..., 0] - base(original[..., 0])
    stylized[..., 0] = lightness + np.float32(amount) * (wanted - detail)
    return to_rgb(stylized)


def keep_colours(result: Array, content: Array) -> Array:
    """Return the lightness of `result` with the hue and chroma of `content`, both (h, w, 3) uint8.

    Source: Gatys et al. 2016, "Preserving color in neural artistic style transfer", section 4 (luminance only).
    """
    return to_rgb(np.concatenate([to_lab(result)[..., :1], to_lab(content)[..., 1:]], axis=-1))


def finish(result: Array, content: Array, *, structure: float, keeps_colours: bool) -> Array:
    """Bring `result` (any size) to the size of `content` (h, w, 3 or 4) uint8 and apply the two controls.

    A transparent content stays as transparent as it was.
    """
    colours = np.ascontiguousarray(content[..., :3])
    result = resize(result, (content.shape[1], content.shape[0]))
    result = keep_structure(result, colours, amount=structure)
    if keeps_colours:
        result = keep_colours(result, colours)
    return np.concatenate([result, content[..., 3:]], axis=-1)
