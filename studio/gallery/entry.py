"""What the gallery hands out: entries, pages of them, and the filters that choose them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from studio.errors import GalleryError
from studio.gallery.recipe import Recipe
from studio.requests import Request

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_SEQUENCE_DIGITS, _RANDOM_DIGITS = 11, 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ID_LENGTH = _SEQUENCE_DIGITS + _RANDOM_DIGITS
MAX_SEQUENCE = 32**_SEQUENCE_DIGITS - 1


class NoSuchPicture(GalleryError):
    """A missing, foreign or malformed id: one answer for all, so that it tells nothing about other people's."""

    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such picture.", "It may have been deleted.")


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of the gallery.

    Attributes:
        id: Its name everywhere; ids sort by `sequence`.
        sequence: Microseconds since 1970, raised where the clock was not: newer pictures always have more.
        created: When the clock said it was made.
        kind: The request's kind ("text_to_image", "inpaint", ...), or "imported".
        seed: The seed that makes this very picture, or None.
        sha256: `pictures.picture_hash` of its pixels; a request that refers to it makes it a parent.
        path: The PNG file. Never hand a path from the page back in: ask `Gallery.path(id, owner=...)`.
    """

    id: str
    sequence: int
    created: datetime
    kind: str
    model: str
    prompt: str
    negative_prompt: str
    seed: int | None
    width: int
    height: int
    sha256: str
    file_sha256: str
    bytes: int
    owner: str
    job: str
    starred: bool
    note: str
    trashed: bool
    collections: tuple[str, ...]
    recipe: Recipe
    path: Path

    @property
    def request(self) -> Request:
        """The request as it was made; raises InvalidRequest where there is none or it cannot be read."""
        return self.recipe.request


@dataclass(frozen=True, slots=True)
class Filters:
    """Which pictures to show; what is left empty does not choose.

    Attributes:
        text: Words to find in prompts, settings, notes and collections; the last letters may be missing.
        kinds: Request kinds (one per tab), or "imported".
        models: Model ids.
        created_from, created_to: First and last moment, with a time zone.
        sizes: (width, height) pairs.
        starred: True only starred, False only others.
        collection: A collection's name.
        trashed: True shows the trash instead of the gallery.
    """

    text: str = ""
    kinds: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    starred: bool | None = None
    collection: str = ""
    trashed: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Entries newest first; `next` is what to give as `before` for the page after, or None at the end."""

    entries: tuple[Entry, ...]
    next: str | None


def new_id(sequence: int) -> str:
    """Return a fresh id that sorts by `sequence`: 55 bits of time and 45 random bits, lower case."""
    return _base32(sequence, _SEQUENCE_DIGITS) + _base32(secrets.randbits(45), _RANDOM_DIGITS)


def sequence_of(entry_id: str) -> int:
    """Return the sequence inside `entry_id`; raises GalleryError when it is not an id."""
    if not is_id(entry_id):
        raise no_such_picture()
    sequence = 0
    for letter in entry_id[:_SEQUENCE_DIGITS]:
        sequence = sequence * 32 + _ALPHABET.index(letter)
    return sequence


def is_id(text: object) -> bool:
    """Whether `text` has the form of an id."""
    return isinstance(text, str) and len(text) == ID_LENGTH and all(letter in _ALPHABET for letter in text)


def shard(entry_id: str) -> str:
    """Return the name of the folder for a picture: a new one about every 13 days."""
    return entry_id[:3]


def picture_path(folder: Path, entry_id: str) -> Path:
    """Return the path of a picture's PNG file in the gallery's `folder`; nothing but the id decides it."""
    sequence_of(entry_id)
    return folder / "pictures" / shard(entry_id) / f"{entry_id}.png"


def no_such_picture() -> GalleryError:
    """Return the one answer for missing, foreign and malformed ids."""
    return NoSuchPicture()


def when(microseconds: int) -> datetime:
    """Return the UTC time of `microseconds` since 1970, clamped to what a datetime can hold."""
    seconds, rest = divmod(min(max(microseconds, 0), 253_402_300_799_000_000), 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970 of `moment`; a moment without time zone is local time."""
    delta = moment.astimezone(UTC) - _EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def unique(ids: Iterable[str]) -> list[str]:
    """Return `ids` once each, in order; raises GalleryError for anything that is not an id."""
    found = list(dict.fromkeys(ids))
    if not all(is_id(entry_id) for entry_id in found):
        raise no_such_picture()
    return found


def _base32(value: int, digits: int) -> str:
    letters = [_ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(digits))]
    return "".join(letters)
