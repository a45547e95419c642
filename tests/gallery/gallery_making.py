"""What the gallery's tests make: pictures, requests' results, a clock that can be set."""

from __future__ import annotations

import random
from typing import Any

from PIL import Image

from studio.gallery import Entry, Gallery
from studio.requests import TextToImage


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, seconds: float = 1_790_000_000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def noise(seed: int = 0, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> Image.Image:
    """A picture that compresses badly and that no other seed gives."""
    depth = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, size, random.Random(seed).randbytes(size[0] * size[1] * depth))


def save(gallery: Gallery, number: int = 0, *, owner: str = "anna", prompt: str = "", **changes: Any) -> Entry:
    """Save one picture made by a prompt."""
    given = {"prompt": prompt or f"picture {number}", "seed": number, "model": "tiny"}
    request = TextToImage(**{**given, **changes})
    return gallery.save(
        noise(number, (request.width // 16, request.height // 16)),
        request=request,
        seed=number,
        facts={"model": request.model, "checksum": "ab" * 32},
        job_id=f"{number:016x}",
        owner=owner,
    )
