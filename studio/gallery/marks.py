"""What people add to pictures: stars, notes, collections, the trash; in the index, and in a journal beside it.

The journal (`marks.jsonl`, one JSON line per changed picture, the last line of a picture counts) is why even a
lost index loses no star: the doctor replays it after reading the files.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.errors import GalleryError
from studio.gallery import index
from studio.gallery.entry import is_id
from studio.gallery.search import indexed
from studio.requests import clean_text

logger = logging.getLogger(__name__)

DAY_US = 86_400_000_000
MAX_NOTE = 4000
MAX_NAME = 120


def star(db: sqlite3.Connection, sequences: Sequence[int], on: bool) -> None:
    """Star pictures, or take their star."""
    for marks, chunk in index.chunks(sequences):
        db.execute(f"UPDATE entries SET starred = ? WHERE sequence IN ({marks})", (int(on), *chunk))


def note(db: sqlite3.Connection, sequence: int, text: str) -> None:
    """Set a picture's note, cleaned; raises GalleryError when it is too long."""
    text = clean_text(text)[0]
    if len(text) > MAX_NOTE:
        raise GalleryError(f"The note is too long ({len(text):,} of {MAX_NOTE:,} characters).", "Shorten it.")
    db.execute("UPDATE entries SET note = ? WHERE sequence = ?", (text, sequence))
    db.execute("UPDATE words SET note = ? WHERE rowid = ?", (indexed(text), sequence))


def collection_name(name: str) -> str:
    """Return `name` as it is stored: any text, cleaned, on one line; it never becomes a file name.

    Raises:
        GalleryError: Empty or too long.
    """
    cleaned = " ".join(clean_text(name)[0].split())
    if not 0 < len(cleaned) <= MAX_NAME:
        raise GalleryError(
            f"A collection's name has 1 to {MAX_NAME} characters, not {len(cleaned)}.", "Choose another."
        )
    return cleaned


def collect(db: sqlite3.Connection, sequences: Sequence[int], name: str) -> None:
    """Put pictures into their owners' collection `name`, which is made when it is new."""
    for marks, chunk in index.chunks(sequences):
        db.execute(
            f"INSERT OR IGNORE INTO collections (owner, name) SELECT DISTINCT owner, ? FROM entries "
            f"WHERE sequence IN ({marks})",
            (name, *chunk),
        )
        db.execute(
            f"INSERT OR IGNORE INTO collected SELECT c.id, e.sequence FROM entries e JOIN collections c "
            f"ON c.owner = e.owner AND c.name = ? WHERE e.sequence IN ({marks})",
            (name, *chunk),
        )
    _reword(db, sequences)


def uncollect(db: sqlite3.Connection, sequences: Sequence[int], name: str) -> None:
    """Take pictures out of collection `name`; an empty collection is gone."""
    for marks, chunk in index.chunks(sequences):
        db.execute(
            f"DELETE FROM collected WHERE sequence IN ({marks}) AND collection IN "
            "(SELECT id FROM collections WHERE name = ?)",
            (*chunk, name),
        )
    db.execute("DELETE FROM collections WHERE id NOT IN (SELECT collection FROM collected)")
    _reword(db, sequences)


def collections(db: sqlite3.Connection, owner_key: str | None) -> list[tuple[str, int]]:
    """Return (name, number of pictures outside the trash) of all collections, by name."""
    return [
        (row[0], row[1])
        for row in db.execute(
            "SELECT c.name, count(e.sequence) FROM collections c JOIN collected d ON d.collection = c.id "
            "LEFT JOIN entries e ON e.sequence = d.sequence AND e.trashed_us IS NULL "
            "WHERE ?1 IS NULL OR c.owner = ?1 GROUP BY c.name ORDER BY c.name COLLATE NOCASE",
            (owner_key,),
        )
    ]


def trash(db: sqlite3.Connection, sequences: Sequence[int], at_us: int | None) -> None:
    """Put pictures into the trash at `at_us` (trash clock), or take them out again (None)."""
    for marks, chunk in index.chunks(sequences):
        db.execute(f"UPDATE entries SET trashed_us = ? WHERE sequence IN ({marks})", (at_us, *chunk))


def trash_clock(db: sqlite3.Connection, now_us: int | None = None, *, at_most_us: int = DAY_US) -> int:
    """Advance the clock that retention counts by (not when `now_us` is None), and return it.

    It moves by what the machine's clock moved since the last call, but never back and by one day at most. A
    machine that believes for an hour that it is 2099 so deletes nothing early.
    """
    known = dict(db.execute("SELECT name, value FROM facts WHERE name IN ('trash_clock_us', 'seen_us')").fetchall())
    if now_us is None:
        return int(known.get("trash_clock_us", 0))
    passed = min(max(now_us - known.get("seen_us", now_us), 0), at_most_us)
    clock = known.get("trash_clock_us", 0) + passed
    db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", [("trash_clock_us", clock), ("seen_us", now_us)])
    return int(clock)


class Journal:
    """The file `marks.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, db: sqlite3.Connection, sequences: Sequence[int]) -> None:
        """Write down the present marks of pictures, and wait until they are on the disk."""
        lines = "".join(json.dumps(state, separators=(",", ":")) + "\n" for state in states(db, sequences))
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            os.write(handle, b"\n" + lines.encode())  # the line break first: a torn last line spoils only itself
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the last known marks by id; lines that cannot be read are passed over."""
        known: dict[str, dict[str, Any]] = {}
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        for line in filter(None, lines):
            try:
                state = json.loads(line)
            except ValueError:
                logger.warning("a line of %s could not be read", self._path.name)
                continue
            if isinstance(state, dict) and is_id(state.get("id")):
                known[state["id"]] = state
        return known

    def apply(self, db: sqlite3.Connection, state: dict[str, Any], sequence: int) -> None:
        """Give a picture whose row was made anew its marks back."""
        star(db, [sequence], bool(state.get("starred")))
        note(db, sequence, str(state.get("note", ""))[:MAX_NOTE])
        for name in state.get("collections", []):
            collect(db, [sequence], collection_name(str(name)[:MAX_NAME]))
        if state.get("trashed"):
            trash(db, [sequence], trash_clock(db))


def states(db: sqlite3.Connection, sequences: Sequence[int]) -> list[dict[str, Any]]:
    """Return what the journal says of pictures."""
    found = []
    for marks, chunk in index.chunks(sequences):
        rows = db.execute(
            "SELECT id, starred, note, trashed_us, "
            "(SELECT json_group_array(c.name) FROM collected d JOIN collections c "
            f"ON c.id = d.collection WHERE d.sequence = e.sequence) FROM entries e WHERE sequence IN ({marks})",
            chunk,
        )
        found += [
            {"id": i, "starred": s, "note": n, "trashed": t is not None, "collections": json.loads(c)}
            for i, s, n, t, c in rows
        ]
    return found


def _reword(db: sqlite3.Connection, sequences: Sequence[int]) -> None:
    for state in states(db, sequences):
        db.execute(
            "UPDATE words SET collections = ? WHERE rowid = (SELECT sequence FROM entries WHERE id = ?)",
            (indexed(" ".join(state["collections"])), state["id"]),
        )
