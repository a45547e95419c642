"""The guided filter: smoothing that keeps the edges of another picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]


def guided_filter(guide: Array, values: Array, *, radius: int, epsilon: float) -> Array:
    """Smooth `values` (h, w, c) float32 where `guide` (h, w) float32 is flat, and keep its edges.

    Args:
        guide: The picture whose edges count.
        values: What is smoothed.
        radius: Half the window, in pixels.
        epsilon: Variance of the guide (its units squared) under which a window counts as flat.

    Source: He, Sun, Tang 2013, "Guided image filtering", eq. 5-8.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(array: Array) -> Array:
        return cv2.blur(array, size, borderType=cv2.BORDER_REFLECT)

    values = np.atleast_3d(values)
    centre = mean(guide)
    variance = np.maximum(mean(guide * guide) - centre * centre, 0)
    smooth = np.empty_like(values)
    for channel in range(values.shape[2]):
        plane = np.ascontiguousarray(values[..., channel])
        slope = (mean(guide * plane) - centre * mean(plane)) / (variance + epsilon)
        offset = mean(plane) - slope * centre
        smooth[..., channel] = mean(slope) * guide + mean(offset)
    return smooth
