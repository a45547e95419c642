"""Pictures as CIE Lab: float32 (h, w, 3), L in [0, 100], a and b about [-128, 127] (D65)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]


def to_lab(rgb: Array) -> Array:
    """Convert sRGB (h, w, 3) uint8."""
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def to_rgb(lab: Array) -> Array:
    """Convert back to sRGB uint8; colours no screen shows are clipped."""
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
