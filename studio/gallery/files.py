"""The gallery's picture files: reading them back, thumbnails, deletion marks, and what a file says of itself."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from studio.atomic import write_atomically
from studio.errors import GalleryError, InvalidRequest
from studio.gallery.entry import Entry, is_id, picture_path, sequence_of, shard, when
from studio.gallery.png import read_texts
from studio.gallery.recipe import TEXT_KEY, Recipe
from studio.pictures import picture_hash

THUMBNAIL_PIXELS = 320
DELETED = ".deleted"  # a picture on its way out: renamed first, so that a crash cannot bring it back
_LIMIT_OWN_TEXT = 16 * 2**20


def open_own(path: Path) -> Image.Image:
    """Return the pixels of a picture that the studio wrote.

    Raises:
        GalleryError: The file is gone or damaged.
    """
    try:
        with Image.open(path, formats=("PNG",)) as opened:
            image = opened.copy()
    except FileNotFoundError as error:
        raise GalleryError("The picture's file is gone.", "Run: studio gallery doctor --fix") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise GalleryError("The picture's file is damaged.", "Run: studio gallery doctor") from error
    image.info.clear()
    return image


def thumbnail_path(folder: Path, entry_id: str) -> Path:
    """Return where a picture's thumbnail lies in the gallery's `folder`."""
    sequence_of(entry_id)
    return folder / "thumbnails" / shard(entry_id) / f"{entry_id}.webp"


def write_thumbnail(folder: Path, entry_id: str, image: Image.Image) -> None:
    """Write a picture's thumbnail, at most 320 x 320 pixels; raises GalleryError."""
    small = image.convert("RGBA" if image.has_transparency_data else "RGB")
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=80, method=2)
    write_atomically(thumbnail_path(folder, entry_id), buffer.getvalue(), durable=False)


def picture_ids(folder: Path, *, from_shard: str = "") -> Iterator[str]:
    """Yield the ids of all picture files in the gallery's `folder`, oldest first."""
    for place in sorted((folder / "pictures").glob("*")):
        if place.name >= from_shard and place.is_dir():
            yield from sorted(path.stem for path in place.glob("*.png") if is_id(path.stem))


def read_recipe(path: Path) -> Recipe | None:
    """Return the recipe inside a picture's file, or None when there is none that can be read."""
    try:
        with path.open("rb") as file:
            texts = read_texts(file, limit_chunk=_LIMIT_OWN_TEXT, limit_total=2 * _LIMIT_OWN_TEXT)
        return Recipe.from_json(texts[TEXT_KEY])
    except (KeyError, ValueError, OSError, InvalidRequest):
        return None


def entry_from_file(folder: Path, entry_id: str) -> Entry:
    """Return the entry that a picture's file describes; its marks are not in it.

    Raises:
        GalleryError: The file is gone or damaged.
    """
    path = picture_path(folder, entry_id)
    image = open_own(path)
    data = path.read_bytes()
    created_us = min(sequence_of(entry_id), int(path.stat().st_mtime * 1e6))
    recipe = read_recipe(path) or Recipe(id=entry_id, created_us=created_us)
    return describe(folder, entry_id, recipe, image=image, png=data)


def describe(folder: Path, entry_id: str, recipe: Recipe, *, image: Image.Image, png: bytes) -> Entry:
    """Return the entry of a picture from its recipe, its pixels and its file's bytes."""
    settings = recipe.settings

    def text(name: str) -> str:
        value = settings.get(name)
        return value if isinstance(value, str) else ""

    model = recipe.facts.get("model")
    return Entry(
        id=entry_id,
        sequence=sequence_of(entry_id),
        created=when(recipe.created_us),
        kind="imported" if recipe.foreign else text("kind") or "imported",
        model=(model if isinstance(model, str) else "") or text("model"),
        prompt=text("prompt"),
        negative_prompt=text("negative_prompt"),
        seed=recipe.seed,
        width=image.width,
        height=image.height,
        sha256=picture_hash(image),
        file_sha256=hashlib.sha256(png).hexdigest(),
        bytes=len(png),
        owner=recipe.owner,
        job=recipe.job,
        starred=False,
        note="",
        trashed=False,
        collections=(),
        recipe=recipe,
        path=picture_path(folder, entry_id),
    )
