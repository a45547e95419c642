"""What the painting desk answers: plain values that a page can draw. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studio.errors import InvalidRequest


class DocumentGone(InvalidRequest):
    """A picture that is no longer on the desk; the page answers by `reopen`."""

    status = 404


@dataclass(frozen=True, slots=True)
class CodebookModel:
    """A VQGAN to paint with: what a request calls it, what an artist does, and whether a prior can draw its tokens."""

    id: str
    title: str
    has_prior: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What an edit changed.

    Attributes:
        cells: Flat indices of the tokens that changed, (n,).
        codes: Their codes now, (n,).
        image: The piece of picture to put at (left, top), or None where nothing shows.
        exact: Whether the whole picture shown is what a full decode gives.
        operation: The operation as its recipe keeps it, or None where none was recorded.
    """

    cells: NDArray[np.int64]
    codes: NDArray[np.int32]
    image: Image.Image | None = None
    left: int = 0
    top: int = 0
    exact: bool = True
    operation: dict[str, Any] | None = None
    can_undo: bool = False
    can_redo: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A picture on the desk.

    Attributes:
        document: What further calls name it.
        codes: (rows, columns) int32.
        size: Width and height of the picture in pixels.
        factor: Pixels per token side.
        codebook_size: Number of codes of the model.
        start: The start map as a share string; with the operations it rebuilds the document.
        has_source: Whether there is an original to compare with, and measurements of it.
        notes: Conversions, as sentences.
    """

    document: str
    model: str
    checksum: str
    codes: NDArray[np.int32]
    size: tuple[int, int]
    factor: int
    codebook_size: int
    start: str
    has_source: bool
    is_live: bool
    can_undo: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AtlasPage:
    """An arrangement of the codes.

    Attributes:
        cells: (rows, columns) code indices, -1 is blank.
        sprite_columns: Codes per row of the sprite (`sprite`), which is in order of index.
        cell: Side of a swatch in the sprite, in pixels.
        rgb: (K, 3) mean colour of each code.
        counts: (K,) how often each was used over `corpus`, or None where nothing was counted.
        said: The counting in one sentence.
    """

    cells: NDArray[np.int32]
    sprite_columns: int
    cell: int
    rgb: NDArray[np.uint8]
    counts: NDArray[np.int64] | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class CodeCard:
    """One code: its colour, how often it occurs, and what lies near it (nearest first)."""

    code: int
    rgb: tuple[int, int, int]
    count: int
    used: int | None
    similar: tuple[int, ...]
    interchangeable: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A gallery picture in which a code occurs, and its share of that picture's tokens."""

    record: str
    tokens: int
    share: float


@dataclass(frozen=True, slots=True)
class Film:
    """An animation as a file: its bytes, media type and a file name."""

    data: bytes = field(repr=False)
    media_type: str
    name: str
