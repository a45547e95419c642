"""Filters and pages as SQL: keyset paging on the sequence, so that the last page costs what the first does."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio.gallery import index
from studio.gallery.entry import Entry, Filters, Page, microseconds, sequence_of
from studio.gallery.recipe import key_of
from studio.gallery.search import match_expression

MAX_LIMIT = 1000

_IN_COLLECTION = (
    "e.sequence IN (SELECT d.sequence FROM collected d JOIN collections c ON c.id = d.collection WHERE c.name = ?)"
)


def page(
    db: sqlite3.Connection, folder: Path, before: str | None, *, limit: int, filters: Filters, owner: str | None
) -> Page:
    """Return up to `limit` entries that are older than the id `before`, newest first."""
    limit = min(max(limit, 1), MAX_LIMIT)
    chosen = select(filters, owner)
    if chosen is None:
        return Page((), None)
    if before is not None:
        chosen = chosen.where(f"{chosen.key} < ?", sequence_of(before))
    found = _entries(db, folder, chosen, order="DESC", limit=limit + 1)
    return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)


def neighbours(
    db: sqlite3.Connection, folder: Path, entry: Entry, *, filters: Filters, owner: str | None
) -> tuple[Entry | None, Entry | None]:
    """Return the entries right before and after `entry` on the page: (the newer, the older)."""
    chosen = select(filters, owner)
    if chosen is None:
        return None, None
    newer = _entries(db, folder, chosen.where(f"{chosen.key} > ?", entry.sequence), order="ASC", limit=1)
    older = _entries(db, folder, chosen.where(f"{chosen.key} < ?", entry.sequence), order="DESC", limit=1)
    return next(iter(newer), None), next(iter(older), None)


def count(db: sqlite3.Connection, *, filters: Filters, owner: str | None) -> int:
    """Return how many entries the filters let through."""
    chosen = select(filters, owner)
    if chosen is None:
        return 0
    return int(
        db.execute(f"SELECT count(*) FROM {chosen.source} WHERE {chosen.condition}", chosen.values).fetchone()[0]
    )


def facets(db: sqlite3.Connection, *, owner: str | None) -> dict[str, list[Any]]:
    """Return what there is to filter by: "kinds", "models" and "sizes" ((width, height)), most frequent first."""
    chosen = select(Filters(), owner)
    assert chosen is not None  # only a search text can choose nothing
    found: dict[str, list[Any]] = {}
    for name, column in {"kinds": "kind", "models": "model", "sizes": "width, height"}.items():
        rows = db.execute(
            f"SELECT {column} FROM {chosen.source} WHERE {chosen.condition} "
            f"GROUP BY {column} ORDER BY count(*) DESC LIMIT 200",
            chosen.values,
        ).fetchall()
        found[name] = [tuple(row) if len(row) > 1 else row[0] for row in rows if row[0] != ""]
    return found


@dataclass(frozen=True, slots=True)
class Selection:
    """FROM, WHERE and its values; `key` is the column to order and to continue by."""

    source: str
    key: str
    condition: str
    values: tuple[Any, ...] = ()

    def where(self, condition: str, *values: Any) -> Selection:
        """Return this selection narrowed by one more condition."""
        return replace(self, condition=f"{self.condition} AND {condition}", values=(*self.values, *values))


def select(filters: Filters, owner: str | None) -> Selection | None:
    """Return the selection of `filters` among `owner`'s pictures (None: everybody's); None: nothing to search for."""
    chosen = Selection("entries e", "e.sequence", "e.trashed_us IS " + ("NOT NULL" if filters.trashed else "NULL"))
    if filters.text.strip():
        if not (expression := match_expression(filters.text)):
            return None
        # the full-text index is walked newest first and stops when the page is full
        chosen = Selection("words CROSS JOIN entries e ON e.sequence = words.rowid", "words.rowid", chosen.condition)
        chosen = chosen.where("words MATCH ?", expression)
    if owner is not None:
        chosen = chosen.where("e.owner = ?", key_of(owner))
    for column, names in (("kind", filters.kinds), ("model", filters.models)):
        if names:
            chosen = chosen.where(f"e.{column} IN ({', '.join('?' * len(names))})", *names)
    if filters.sizes:
        pairs = " OR ".join(["(e.width = ? AND e.height = ?)"] * len(filters.sizes))
        chosen = chosen.where(f"({pairs})", *(side for size in filters.sizes for side in size))
    if filters.created_from is not None:
        chosen = chosen.where("e.created_us >= ?", microseconds(filters.created_from))
    if filters.created_to is not None:
        chosen = chosen.where("e.created_us <= ?", microseconds(filters.created_to))
    if filters.starred is not None:
        chosen = chosen.where("e.starred" if filters.starred else "NOT e.starred")
    if filters.collection:
        chosen = chosen.where(_IN_COLLECTION, filters.collection)
    return chosen


def _entries(db: sqlite3.Connection, folder: Path, chosen: Selection, *, order: str, limit: int) -> list[Entry]:
    """The page's sequences first, from narrow rows; whole entries only for those."""
    sql = f"SELECT {chosen.key} FROM {chosen.source} WHERE {chosen.condition} ORDER BY {chosen.key} {order} LIMIT ?"
    keys = [row[0] for row in db.execute(sql, (*chosen.values, limit))]
    return index.entries(db, folder, keys, order=order)
