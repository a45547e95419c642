"""A picture as a mask: grey, of the source's size, with a word about every conversion."""

from __future__ import annotations

import numpy as np
from PIL import Image

from studio.errors import InvalidPicture
from studio.pictures import opaque

MAX_PIXELS = 64_000_000


def as_mask(image: Image.Image, width: int, *, height: int) -> tuple[bytes, str]:
    """Return `width` x `height` grey bytes, row by row (255 is painted), and what was converted, in sentences.

    White is what to paint. Transparent parts count as unpainted; another size is scaled to fit; a photo's
    brightness becomes the strength of the mask.

    Raises:
        InvalidPicture: The size is out of bounds.
    """
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise InvalidPicture(f"A mask of {width} × {height} pixels is out of bounds.")
    grey, notes = over_black(image), []
    if grey.size != (width, height):
        notes.append(f"The mask was {grey.width} × {grey.height} and has been scaled to {width} × {height}.")
        grey = grey.resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(grey)
    if values.max() == 0:
        notes.append("The mask is black: nothing is marked to change. White is what to paint.")
    elif np.mean((values > 20) & (values < 235)) > 0.5:
        notes.append("That looks like a photo; its brightness is used as the mask.")
    return values.tobytes(), " ".join(notes)


def over_black(image: Image.Image) -> Image.Image:
    """Return `image` in grey, what is transparent as black: unpainted."""
    return opaque(image, "black").convert("L")
