"""Tensors to pictures and back: float (b, 3, h, w) in [-1, 1] to 8-bit RGB, rounded as diffusers rounds."""

from __future__ import annotations

import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from studio.errors import InvalidResult
from studio.pictures import opaque


def to_pictures(image_pm1: torch.Tensor) -> tuple[Image.Image, ...]:
    """Return one RGB picture per row of `image_pm1`, (b, 3, h, w) in [-1, 1].

    Raises:
        InvalidResult: A value is NaN or infinite.
    """
    if not bool(torch.isfinite(image_pm1).all()):
        raise InvalidResult(
            "The decoder produced invalid values (NaN), so there is no picture to keep.",
            "Try another seed; if it happens again, set dtype to float32 in the settings.",
        )
    return tuple(VaeImageProcessor().postprocess(image_pm1, output_type="pil"))


def to_tensor(picture: Image.Image, *, device: torch.device | None = None) -> torch.Tensor:
    """Return `picture` as (1, 3, h, w) float32 in [-1, 1]; transparency is laid over white."""
    values = np.asarray(opaque(picture), dtype=np.float32) / 255.0  # (h, w, 3)
    return torch.from_numpy(values).permute(2, 0, 1)[None].mul(2).sub(1).to(device)
