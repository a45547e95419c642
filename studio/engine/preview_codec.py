"""Previews as small JPEGs in memory. Knows no torch, so whoever sends a preview encodes it off the engine thread."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

MAX_BYTES = 10 * 1024
_QUALITIES = (85, 70, 55, 40, 25)


def encode_preview(picture: Image.Image) -> bytes:
    """Return `picture` as a JPEG of at most MAX_BYTES: at lower quality, then smaller, until it fits."""
    picture = picture.convert("RGB")
    while True:
        for quality in _QUALITIES:
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=quality)
            if buffer.tell() <= MAX_BYTES:
                return buffer.getvalue()
        picture = picture.resize((max(1, picture.width * 2 // 3), max(1, picture.height * 2 // 3)))
