"""Pictures for tests."""

from __future__ import annotations

import numpy as np
from PIL import Image


def waves(width: int, height: int, *, seed: int) -> Image.Image:
    """Soft coloured waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 24
    channels = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-1.5, 1.5, (3, 3))]
    return Image.fromarray((127 + 90 * np.stack(channels, -1)).clip(0, 255).astype(np.uint8))
