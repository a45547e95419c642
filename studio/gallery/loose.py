"""A picture file outside the gallery that still carries its recipe: what `--out FILE` writes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from PIL import Image

from studio import atomic
from studio.gallery.gallery import texts_of
from studio.gallery.png import encode_png
from studio.gallery.recipe import Recipe, parents_of, settings_of, shareable
from studio.interop.a1111 import a1111_parameters
from studio.pictures import canonical
from studio.requests import Request


def write_picture(path: Path, image: Image.Image, *, request: Request, seed: int | None, facts: dict[str, Any]) -> None:
    """Write `image` as a PNG with the recipe and the A1111 text inside; all of it, or nothing.

    Raises:
        GalleryError: The folder cannot be written, or the disk is full.
    """
    recipe = Recipe(
        id="",
        created_us=int(time.time() * 1e6),
        settings=settings_of(request),
        seed=seed,
        facts=shareable(facts),
        parents=parents_of(request),
    )
    parameters = a1111_parameters(request, seed, {**facts, "size": image.size})
    atomic.write_atomically(path, encode_png(canonical(image), texts_of(recipe, parameters)))
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)  # a file the artist asked for is readable as any other, unlike the gallery's own
