"""From an artist's picture to a control map: fitted to the run, and prepared for the ControlNet. Knows no torch."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from studio.errors import InvalidRequest
from studio.pictures import opaque

_CANNY = (100, 200)  # hysteresis thresholds on 8-bit gradients, as ControlNet's own Canny annotator has them
_CUT_TOLD = 0.01  # of width and height; less is rounding to the model's grid


def fitted(
    picture: Image.Image, size: tuple[int, int], *, shape: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[str, ...]]:
    """Return `picture` as RGB of `size` (width, height), and what to tell the artist of it.

    A picture of another shape is cut to the middle, never stretched; what is transparent counts as black.

    Args:
        shape: Width and height of what the picture lies on, where the run's `size` is that rounded to a grid.
    """
    shape = shape or size
    notes: tuple[str, ...] = ()
    box = _middle(picture.size, shape)
    cut = (picture.width - (box[2] - box[0])) / picture.width + (picture.height - (box[3] - box[1])) / picture.height
    if cut > _CUT_TOLD:
        notes = (f"The control picture was cut to the middle, to fit {shape[0]}×{shape[1]}.",)
    return opaque(picture, "black").resize(size, Image.Resampling.LANCZOS, box=box), notes


def prepared(picture: Image.Image, preprocessor: str) -> np.ndarray:
    """Return the control map made of `picture` as (h, w, 3) float32 in [0, 1], and -1 where there is none.

    Args:
        picture: RGB; or RGBA, where what has no alpha is what the run paints.
        preprocessor: "none" (the picture is a map), "canny" (its edges), "invert" (its opposite), or "inpaint" (what
            the run paints is -1, as the ControlNets for inpainting were trained).

    Raises InvalidRequest for "inpaint" where a run paints everything.
    """
    pixels = np.asarray(picture.convert("RGB"))
    if preprocessor == "invert":
        pixels = 255 - pixels
    elif preprocessor == "canny":
        edges = cv2.Canny(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), *_CANNY)  # (h, w)
        pixels = np.repeat(edges[..., None], 3, axis=2)
    values = pixels.astype(np.float32) / 255
    if preprocessor == "inpaint":
        if picture.mode != "RGBA":
            raise InvalidRequest(
                "This run has no painted part to leave out of the control picture.",
                "Prepare it in another way here, or use it in Inpaint.",
                field="control_preprocessor",
            )
        values[np.asarray(picture.getchannel("A")) == 0] = -1
    return values


def _middle(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the largest box in the middle of a picture of `size` that has the shape of `wanted`."""
    scale = min(size[0] / wanted[0], size[1] / wanted[1])
    left, top = (size[0] - wanted[0] * scale) / 2, (size[1] - wanted[1] * scale) / 2
    return left, top, left + wanted[0] * scale, top + wanted[1] * scale
