"""The gallery's reading half: entries, pages, search, lineage.

The owner of a picture is a session; `owner=None` in any method means the owner of the studio, who sees all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from studio.gallery import index, lineage, marks, query
from studio.gallery.entry import Entry, Filters, Page, no_such_picture, unique
from studio.gallery.files import open_own, thumbnail_path, write_thumbnail
from studio.gallery.lineage import Link, Tree
from studio.gallery.recipe import key_of

_NO_FILTERS = Filters()


class Catalogue:
    """What can be asked of a gallery's `folder` and its `index`."""

    folder: Path
    index: index.Index

    def get(self, entry_id: str, *, owner: str | None = None) -> Entry:
        """Return a picture's entry; a missing, a foreign and a malformed id give the same GalleryError."""
        return self.entries([entry_id], owner=owner)[0]

    def entries(self, ids: Iterable[str], *, owner: str | None = None) -> list[Entry]:
        """Return the entries of `ids`, in that order; raises as `get` does when one of them is missing."""
        wanted = unique(ids)
        with self.index.reading() as db:
            found = index.entries(db, self.folder, self.sequences(db, wanted, owner))
        by_id = {entry.id: entry for entry in found}
        return [by_id[entry_id] for entry_id in wanted]

    def with_pixels(self, sha256: str, *, owner: str | None = None) -> list[Entry]:
        """Return the pictures whose pixels have this `pictures.picture_hash`, newest first, the trash included."""
        with self.index.reading() as db:
            rows = db.execute(
                "SELECT sequence FROM entries WHERE sha256 = ?1 AND (?2 IS NULL OR owner = ?2) LIMIT 50",
                (sha256, key_of(owner)),
            ).fetchall()
            return index.entries(db, self.folder, [row[0] for row in rows])

    def alike(self, entry: Entry) -> list[Entry]:
        """Return the other pictures with the prompt and the seed of `entry`, newest first, the trash included."""
        with self.index.reading() as db:
            rows = db.execute(
                "SELECT sequence FROM entries WHERE prompt = ? AND seed IS ? AND sequence <> ? LIMIT 1000",
                (entry.prompt, entry.seed, entry.sequence),
            ).fetchall()
            return index.entries(db, self.folder, [row[0] for row in rows])

    def made_by(self, job_id: str) -> list[Entry]:
        """Return the pictures that a job made, in the order they were saved, the trash included."""
        with self.index.reading() as db:
            rows = db.execute("SELECT sequence FROM entries WHERE job = ?", (job_id,)).fetchall()
            return index.entries(db, self.folder, [row[0] for row in rows], order="ASC")

    def path(self, entry_id: str, *, owner: str | None = None) -> Path:
        """Return the PNG file of a picture; raises as `get` does."""
        return self.get(entry_id, owner=owner).path

    def open(self, entry_id: str, *, owner: str | None = None) -> Image.Image:
        """Return a picture's pixels; raises GalleryError as `get` does, or when its file is damaged or gone."""
        return open_own(self.path(entry_id, owner=owner))

    def thumbnail(self, entry_id: str, *, owner: str | None = None) -> Path:
        """Return a WebP of at most 320 x 320 pixels, made now if it is not there; raises as `open` does."""
        path = self.path(entry_id, owner=owner)
        small = thumbnail_path(self.folder, entry_id)
        if not small.exists():
            write_thumbnail(self.folder, entry_id, open_own(path))
        return small

    def page(
        self, before: str | None = None, limit: int = 50, filters: Filters = _NO_FILTERS, owner: str | None = None
    ) -> Page:
        """Return up to `limit` (at most 1000) entries older than `before`, newest first.

        Args:
            before: The `next` of the page before; None begins with the newest.

        Raises:
            GalleryError: `before` is not an id, or the search took more than a second.
        """
        with self.index.reading() as db:
            return query.page(db, self.folder, before, limit=limit, filters=filters, owner=owner)

    def each(self, filters: Filters = _NO_FILTERS, *, owner: str | None = None) -> Iterator[Entry]:
        """Yield every entry that the filters let through, newest first, a page at a time."""
        before: str | None = None
        while True:
            page = self.page(before, limit=500, filters=filters, owner=owner)
            yield from page.entries
            if (before := page.next) is None:
                return

    def neighbours(
        self, entry_id: str, filters: Filters = _NO_FILTERS, *, owner: str | None = None
    ) -> tuple[Entry | None, Entry | None]:
        """Return the entries beside `entry_id` among those the filters let through: (newer, older)."""
        entry = self.get(entry_id, owner=owner)
        with self.index.reading() as db:
            return query.neighbours(db, self.folder, entry, filters=filters, owner=owner)

    def count(self, filters: Filters = _NO_FILTERS, *, owner: str | None = None) -> int:
        """Return how many pictures the filters let through."""
        with self.index.reading() as db:
            return query.count(db, filters=filters, owner=owner)

    def facets(self, *, owner: str | None = None) -> dict[str, list[Any]]:
        """Return what there is to filter by: "kinds", "models", "sizes" ((width, height)); most frequent first."""
        with self.index.reading() as db:
            return query.facets(db, owner=owner)

    def parents(self, entry_id: str, *, owner: str | None = None) -> list[Link]:
        """Return what a picture was made from: gallery pictures, and uploads by their hash."""
        entry = self.get(entry_id, owner=owner)
        with self.index.reading() as db:
            return lineage.parents(db, self.folder, entry, owner=owner)

    def children(self, entry_id: str, *, owner: str | None = None) -> list[Entry]:
        """Return what was made from a picture, newest first."""
        entry = self.get(entry_id, owner=owner)
        with self.index.reading() as db:
            return lineage.children(db, self.folder, entry, owner=owner)

    def tree(self, entry_id: str, *, owner: str | None = None) -> Tree:
        """Return the whole family of a picture."""
        entry = self.get(entry_id, owner=owner)
        with self.index.reading() as db:
            return lineage.tree(db, self.folder, entry, owner=owner)

    def collections(self, *, owner: str | None = None) -> list[tuple[str, int]]:
        """Return (name, number of pictures) of each collection, by name."""
        with self.index.reading() as db:
            return marks.collections(db, key_of(owner))

    def sequences(self, db: sqlite3.Connection, ids: Sequence[str], owner: str | None) -> list[int]:
        """Return the sequences of `ids`; raises GalleryError unless all are there and `owner`'s."""
        found: dict[str, int] = {}
        for places, chunk in index.chunks(ids):
            rows = db.execute(f"SELECT id, sequence, owner FROM entries WHERE id IN ({places})", chunk)
            key = key_of(owner)
            found.update({row[0]: row[1] for row in rows if key is None or row[2] == key})
        if len(found) < len(ids):
            raise no_such_picture()
        return [found[entry_id] for entry_id in ids]
