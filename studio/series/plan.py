"""A series written down: its cells, what became of each, and the folder that keeps it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.atomic import write_atomically
from studio.errors import GalleryError, InvalidRequest, StudioError
from studio.requests import TextToImage, parse
from studio.series.axes import Axis

MAX_CELLS = 400
_KEPT = 50
_ID = re.compile(r"[0-9a-f]{16}")


class Cell(BaseModel):
    """One picture of a series: the request, the gallery id once it is made, or why it could not be."""

    model_config = ConfigDict(validate_assignment=True)
    request: dict[str, Any]
    record: str = ""
    error: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is still to be made."""
        return not self.record and not self.error


class Legend(BaseModel):
    """One axis as the picture's legend and the records name it."""

    field: str
    texts: list[str]


class Series(BaseModel):
    """A list of cells; with axes a grid, whose cells run along x, then y, then z.

    `owner` is the one-way key of whose it is, `sheet` the gallery id of the grid's picture.
    """

    version: Literal[1] = 1
    id: str = Field(default_factory=lambda: secrets.token_hex(8), pattern=_ID.pattern)
    title: str = ""
    created: float = Field(default_factory=time.time)
    owner: str = ""
    axes: list[Legend] = Field(default_factory=list, max_length=3)
    cells: list[Cell]
    sheet: str = ""

    @property
    def done(self) -> int:
        """How many cells have ended, well or badly."""
        return sum(not cell.is_open for cell in self.cells)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to make."""
        return self.done == len(self.cells) and (not self.axes or bool(self.sheet) or not self.records)

    @property
    def records(self) -> list[str]:
        """The gallery ids of the pictures there are."""
        return [cell.record for cell in self.cells if cell.record]

    def order(self) -> Iterator[Cell]:
        """Yield the open cells in the order they are best made: one model after the other."""
        models = list(dict.fromkeys(cell.request.get("model") for cell in self.cells))
        yield from sorted((c for c in self.cells if c.is_open), key=lambda c: models.index(c.request.get("model")))

    def retry(self) -> None:
        """Open the cells that failed."""
        for cell in self.cells:
            cell.error = ""


def grid(base: TextToImage, axes: Sequence[Axis], *, owner: str = "") -> Series:
    """Return the series of every combination of the axes' values, x first.

    Each cell is one picture; the seed is the base's wherever no axis varies it, so that cells can be compared.

    Raises:
        InvalidRequest: There is no axis, one twice, too many cells, or a value is out of bounds (says which).
    """
    fields = [axis.field for axis in axes]
    if not fields or len(set(fields)) < len(fields):
        raise InvalidRequest("A grid needs axes that differ.", "Choose what varies along X, and another for Y.")
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MAX_CELLS:
        raise InvalidRequest(f"This grid has {count} pictures; {MAX_CELLS} are possible.", "Take fewer values.")
    cells = []
    for places in product(*(range(len(axis.values)) for axis in reversed(axes))):
        values = {**base.model_dump(), "batch": 1}
        for axis, place in sorted(zip(axes, reversed(places), strict=True), key=lambda pair: pair[0].field != "prompt"):
            values = axis.apply(values, place)
        cells.append(Cell(request=parse(values).model_dump(mode="json")))
    legends = [Legend(field=axis.field, texts=list(axis.texts)) for axis in axes]
    return Series(title=base.prompt[:80], owner=owner, axes=legends, cells=cells)


def batch(base: dict[str, Any], lines: Iterable[dict[str, Any]], *, title: str = "", owner: str = "") -> Series:
    """Return the series of the requests that `lines` make of `base`; each line without a seed draws its own.

    Raises:
        InvalidRequest: A line is not a request; says which.
    """
    cells = []
    for number, line in enumerate(lines, start=1):
        try:
            request = parse({**base, "seed": -1, **line, "kind": "text_to_image"})
        except InvalidRequest as error:
            raise InvalidRequest(f"Entry {number}: {error.message}", error.hint, field=error.field) from error
        cells.append(Cell(request=request.model_dump(mode="json")))
    return Series(title=title[:80], owner=owner, cells=cells)


class SeriesFolder:
    """Series as JSON files in `folder`; the oldest complete ones go when there are more than 50."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, series: Series) -> None:
        """Write `series` down; raises GalleryError when the disk is full or cannot be written."""
        write_atomically(self._folder / f"{series.id}.json", series.model_dump_json().encode())

    def get(self, series_id: str, *, owner: str | None) -> Series:
        """Return a series; a foreign and a missing one give the same InvalidRequest. `owner` None sees all."""
        path = self._folder / f"{series_id}.json"
        missing = InvalidRequest("There is no such series.", "It may have been removed.")
        if not _ID.fullmatch(series_id) or not path.is_file():
            raise missing
        try:
            series = Series.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise StudioError("This series could not be read.", "Start it again.") from error
        if owner is not None and series.owner != owner:
            raise missing
        return series

    def all(self, *, owner: str | None) -> list[Series]:
        """Return `owner`'s series, newest first; damaged files are left out."""
        found = []
        for path in self._folder.glob("*.json"):
            try:
                found.append(self.get(path.stem, owner=owner))
            except StudioError:
                continue
        return sorted(found, key=lambda series: series.created, reverse=True)

    def remove(self, series_id: str, *, owner: str | None) -> None:
        """Forget a series; its pictures stay in the gallery."""
        self.get(series_id, owner=owner)
        (self._folder / f"{series_id}.json").unlink(missing_ok=True)

    def tidy(self) -> None:
        """Drop the oldest complete series beyond 50."""
        complete = [series for series in self.all(owner=None) if series.is_complete]
        for series in complete[_KEPT:]:
            try:
                self.remove(series.id, owner=None)
            except GalleryError:
                continue
