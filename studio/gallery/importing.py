"""Pictures in: from a zip, a folder or a file, ours or another studio's, with what they say of their making.

Every picture is decoded by `pictures.open_picture` and written anew, so nothing hidden in a file survives.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from studio.errors import InvalidPicture, InvalidRequest
from studio.gallery.archive import Limits, read_archive
from studio.gallery.entry import Entry, is_id
from studio.gallery.gallery import Gallery
from studio.gallery.provenance import recipe_in
from studio.gallery.recipe import TEXT_KEY, Recipe, owner_key, settings_of
from studio.interop import metadata
from studio.interop.mapping import to_request
from studio.pictures import PICTURE_SUFFIXES, open_picture, picture_hash
from studio.requests import parse

UNREADABLE = "Settings could not be read."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    Attributes:
        name: The file's name, as the artist knows it.
        entry: The picture, new or known; None when it was left out.
        is_new: Whether it was not here before.
        why: Why it was left out, or "".
        notes: What was changed on the way in, and what of its settings could not be taken over.
    """

    name: str
    entry: Entry | None = None
    is_new: bool = False
    why: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """The outcome: the new `entries`, `known` ids that were here already, and (file, why) of what was left out."""

    entries: tuple[Entry, ...]
    known: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file says of its making: a recipe to store, and sentences for the artist."""

    recipe: Recipe
    notes: tuple[str, ...] = ()


def import_pictures(
    gallery: Gallery,
    source: Path,
    *,
    owner: str,
    models: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    progress: Callable[[str], None] | None = None,
) -> Imported:
    """Take the pictures of a zip, a folder (with its folders) or a single file into the gallery.

    Args:
        gallery: Open for writing.
        source: Where they are.
        owner: Whose they become.
        models: The models here (id to checksum), to recognise another studio's by name or checksum.
        limits: Of a zip.
        progress: Called with each file's name, once it is settled.

    Raises:
        ArchiveRefused: An unsafe or oversized zip; nothing was imported.
        InvalidRequest: The source does not exist or is no zip.
        GalleryError: The disk is full; what came before stays.
    """
    done: list[Outcome] = []
    for outcome in each_picture(gallery, source, owner=owner, models=models, limits=limits):
        if progress is not None:
            progress(outcome.name)
        done.append(outcome)
    return Imported(
        tuple(one.entry for one in done if one.entry and one.is_new),
        tuple(one.entry.id for one in done if one.entry and not one.is_new),
        tuple((one.name, one.why) for one in done if one.entry is None),
    )


def each_picture(
    gallery: Gallery,
    source: Path,
    *,
    owner: str,
    name: str = "",
    among: str | None = None,
    models: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Iterator[Outcome]:
    """Do what `import_pictures` does, and yield what became of each file once it is settled.

    Args:
        name: What to call a single file, where its path has another name.
        among: Whose pictures count as known already; None: everybody's.
    """
    for file, data in _files(source, limits or Limits()):
        label = name if name and source.suffix.lower() in PICTURE_SUFFIXES else file
        if data is None:
            yield Outcome(label, why="It is damaged.")
            continue
        try:
            opened = open_picture(data, name=label)
        except InvalidPicture as error:
            yield Outcome(label, why=error.message)
            continue
        origin = origin_of(data, models=models or {})
        if (twin := _twin(gallery, origin.recipe, opened.image, among)) is not None:
            if twin.trashed:
                gallery.restore([twin.id])
            yield Outcome(label, gallery.get(twin.id), notes=origin.notes)
            continue
        entry = gallery.adopt(opened.image, replace(origin.recipe, owner=owner_key(owner)))
        yield Outcome(label, entry, is_new=True, notes=(*opened.notes, *origin.notes))


def origin_of(data: bytes, *, models: Mapping[str, str]) -> Origin:
    """Return what a picture file says of its making: our own recipe, another studio's settings, or nothing."""
    if (own := own_recipe(data)) is not None:
        return own
    foreign = metadata.read(data)
    if foreign is None:
        return Origin(Recipe(id="", created_us=0))
    values, unmapped = to_request(foreign, models=models)
    try:
        settings = settings_of(parse(values))
    except InvalidRequest:  # without a prompt: kept for the form, not to be run
        settings = {}
    seed = values.get("seed")
    facts = {"model": foreign.model} if foreign.model else {}
    kept = {"software": foreign.software, "unmapped": unmapped, "settings": asdict(foreign)}
    if seed is None:
        settings = {key: value for key, value in settings.items() if key != "seed"}
    return Origin(Recipe(id="", created_us=0, settings=settings, seed=seed, facts=facts, foreign=kept), tuple(unmapped))


def own_recipe(data: bytes) -> Origin | None:
    """Return the recipe that this studio put into a PNG, JPEG or WebP; one that cannot be read gives a note."""
    text = _own_text(data)
    if not text:
        return None
    try:
        return Origin(Recipe.from_json(text))
    except InvalidRequest:
        return Origin(Recipe(id="", created_us=0), (UNREADABLE,))


def _own_text(data: bytes) -> str:
    if (text := metadata.texts_of(data).get(TEXT_KEY, "")) or data.startswith(b"\x89PNG"):
        return text
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as opened:
            packet = opened.info.get("xmp", b"")
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, EOFError, Image.DecompressionBombError):
        return ""
    return recipe_in(packet[: metadata.LIMIT_CHUNK].decode("utf-8", "replace")) if isinstance(packet, bytes) else ""


def _twin(gallery: Gallery, recipe: Recipe, image: Image.Image, among: str | None) -> Entry | None:
    """The same picture, when it is here already: of ours with the same id, of others' with the same settings."""
    same = gallery.with_pixels(picture_hash(image), owner=among)
    if is_id(recipe.id):
        return next((entry for entry in same if entry.id == recipe.id), None)
    told = (recipe.foreign, recipe.settings)
    return next((entry for entry in same if (entry.recipe.foreign, entry.recipe.settings) == told), None)


def _files(source: Path, limits: Limits) -> Iterator[tuple[str, bytes | None]]:
    """Yield names and contents of picture files; links out of a folder are not followed."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file() and not path.is_symlink():
                yield path.name, path.read_bytes() if path.stat().st_size <= limits.entry_bytes else None
    elif not source.exists():
        raise InvalidRequest(f'There is no "{source.name[:80]}".', "Choose a zip file, a folder or a picture.")
    elif source.suffix.lower() in PICTURE_SUFFIXES:
        yield source.name, source.read_bytes() if source.stat().st_size <= limits.entry_bytes else None
    else:
        for name, data in read_archive(source, limits):
            if name.lower().endswith(PICTURE_SUFFIXES):
                yield name, data


def foreign_text(recipe: Recipe) -> str:
    """Return what an imported picture's studio said, as readable JSON; "" for our own."""
    settings: Any = recipe.foreign.get("settings")
    return json.dumps(settings, indent=1, ensure_ascii=False) if settings else ""
