"""The SQLite index: its connections and how rows become entries.

One connection writes, under one lock; readers take theirs from a pool and can change nothing. Write-ahead
logging lets them read while a picture is saved; `synchronous=FULL` makes a commit last through a power cut.
Only the writer checkpoints: SQLite before 3.51.3 can damage the log when two connections do.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from studio.atomic import disk_error
from studio.errors import GalleryError, InvalidRequest
from studio.gallery import schema
from studio.gallery.entry import Entry, picture_path, when
from studio.gallery.recipe import Recipe
from studio.gallery.search import indexed

QUERY_SECONDS = 1.0
_POOL_SIZE = 8
_PROGRESS_STEPS = 20_000  # virtual-machine instructions between two looks at the clock: a few milliseconds
_CHUNK = 500  # bound parameters per statement

COLUMNS = (
    "e.sequence, e.id, e.created_us, e.kind, e.model, e.prompt, e.negative_prompt, e.seed, e.width, e.height, "
    "e.sha256, e.file_sha256, e.bytes, e.owner, e.job, e.starred, e.note, e.trashed_us, r.json, "
    "(SELECT json_group_array(name) FROM (SELECT c.name FROM collected d JOIN collections c ON c.id = d.collection "
    "WHERE d.sequence = e.sequence ORDER BY c.name))"
)
FROM = "entries e JOIN recipes r ON r.sequence = e.sequence"


class DamagedIndex(GalleryError):
    """The index cannot be read; it can be made anew from the files."""


class Index:
    """The index file of a gallery's folder.

    Args:
        path: The SQLite file; made when missing, unless `read_only`.
        read_only: Open no writing connection.
        query_seconds: A query that computes for longer is stopped (waiting for a busy machine does not count).

    Raises:
        GalleryError: A newer schema, a damaged file, or none to read.
    """

    def __init__(self, path: Path, *, read_only: bool = False, query_seconds: float = QUERY_SECONDS) -> None:
        self.path, self._query_seconds = path, query_seconds
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._lock = threading.RLock()
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        with ExitStack() as opening:
            opening.callback(self.close)  # the connections, if anything goes wrong on the way
            try:
                if not read_only:
                    self._writer = self._open_writer()
                with self.reading() as db:
                    if not schema.version_of(db):
                        raise GalleryError("There is no gallery here yet.", "Make a picture first.")
            except sqlite3.Error as error:
                raise damaged(error, path) from error
            opening.pop_all()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the writing connection inside a transaction that is committed at the end, or rolled back.

        Raises:
            GalleryError: The gallery is read-only, the disk is full, or the index is damaged.
        """
        with self._lock:
            if self._writer is None:
                raise GalleryError("The gallery is open read-only.", "Close the other studio to change it.")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                with self._writer:  # commits, or rolls back whatever is raised
                    yield self._writer
            except sqlite3.Error as error:
                raise damaged(error, self.path) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a reading connection; a query that runs longer than `query_seconds` is stopped.

        Raises:
            GalleryError: The query took too long, or the index is damaged.
        """
        try:
            db = self._readers.get_nowait()
        except queue.Empty:
            db = self._open_reader()
        deadline = time.thread_time() + self._query_seconds
        db.set_progress_handler(lambda: int(time.thread_time() > deadline), _PROGRESS_STEPS)
        try:
            yield db
        except sqlite3.Error as error:
            raise damaged(error, self.path) from error
        finally:
            db.set_progress_handler(None, 0)
            if self._closed or self._readers.qsize() >= _POOL_SIZE:
                db.close()
            else:
                self._readers.put(db)

    def close(self) -> None:
        """Close every connection; the writer last, so that it leaves no write-ahead log behind."""
        self._closed = True
        while not self._readers.empty():
            self._readers.get_nowait().close()
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _open_writer(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
        with ExitStack() as opening:
            opening.callback(db.close)
            schema.version_of(db)  # before anything that would change a file we must not touch
            self.path.chmod(0o600)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA trusted_schema = OFF")
            schema.migrate(db, self.path.with_name("index-before-update.sqlite"))
            opening.pop_all()
        return db

    def _open_reader(self) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        return db


def insert(db: sqlite3.Connection, entry: Entry) -> None:
    """Write `entry` with its recipe, lineage and search words."""
    db.execute(
        "INSERT INTO entries (sequence, id, created_us, kind, model, prompt, negative_prompt, seed, width, height, "
        "sha256, file_sha256, bytes, owner, job) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(entry.sequence, entry.id, entry.recipe.created_us, entry.kind, entry.model, entry.prompt),
            *(entry.negative_prompt, entry.seed, entry.width, entry.height),
            *(entry.sha256, entry.file_sha256, entry.bytes, entry.owner, entry.job),
        ),
    )
    db.execute("INSERT INTO recipes VALUES (?, ?)", (entry.sequence, entry.recipe.to_json()))
    db.executemany(
        "INSERT INTO lineage VALUES (?, ?, ?, ?)",
        [(entry.sequence, place, p.role, p.ref) for place, p in enumerate(entry.recipe.parents)],
    )
    texts = (entry.prompt, entry.negative_prompt, settings_text(entry))
    db.execute("INSERT INTO words (rowid, prompt, negative_prompt, settings, note, collections) VALUES "
               "(?, ?, ?, ?, '', '')", (entry.sequence, *map(indexed, texts)))  # fmt: skip


def forget(db: sqlite3.Connection, entry_id: str) -> None:
    """Delete a picture's row and everything that hangs on it."""
    db.execute("DELETE FROM words WHERE rowid = (SELECT sequence FROM entries WHERE id = ?)", (entry_id,))
    db.execute("DELETE FROM entries WHERE id = ?", (entry_id,))
    db.execute("DELETE FROM collections WHERE id NOT IN (SELECT collection FROM collected)")


def settings_text(entry: Entry) -> str:
    """Return what the search box finds of the settings: "model x scheduler ddim steps 20 seed 5 256x256"."""
    settings = entry.recipe.settings
    skipped = {"prompt", "negative_prompt", "version", "tokens", "operations", "seed"}
    pairs = [f"{name} {value}" for name, value in settings.items() if name not in skipped and _is_word(value)]
    seed = [] if entry.seed is None else [f"seed {entry.seed}"]
    software = entry.recipe.foreign.get("software", "")
    return " ".join([entry.kind, entry.model, *pairs, *seed, f"{entry.width}x{entry.height}", str(software)])[:4000]


def entries(db: sqlite3.Connection, folder: Path, sequences: Sequence[int], *, order: str = "DESC") -> list[Entry]:
    """Return the entries with these sequences, newest ("DESC") or oldest ("ASC") first."""
    found: list[Entry] = []
    for marks, chunk in chunks(sequences):
        rows = db.execute(f"SELECT {COLUMNS} FROM {FROM} WHERE e.sequence IN ({marks})", chunk)
        found += [entry_of(row, folder) for row in rows]
    return sorted(found, key=lambda entry: entry.sequence, reverse=order == "DESC")


def entry_of(row: Sequence[Any], folder: Path) -> Entry:
    """Return the entry of a row of COLUMNS."""
    try:
        recipe = Recipe.from_json(row[18])
    except InvalidRequest:  # a newer studio wrote it: the picture is shown, its settings cannot be used
        recipe = Recipe(id=row[1], created_us=row[2])
    return Entry(
        sequence=row[0],
        id=row[1],
        created=when(row[2]),
        kind=row[3],
        model=row[4],
        prompt=row[5],
        negative_prompt=row[6],
        seed=row[7],
        width=row[8],
        height=row[9],
        sha256=row[10],
        file_sha256=row[11],
        bytes=row[12],
        owner=row[13],
        job=row[14],
        starred=bool(row[15]),
        note=row[16],
        trashed=row[17] is not None,
        collections=tuple(json.loads(row[19])),
        recipe=recipe,
        path=picture_path(folder, row[1]),
    )


def chunks(values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield ("?, ?, ?", values) for parts of `values` that fit into one statement's bound parameters."""
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        yield ", ".join("?" * len(chunk)), chunk


def damaged(error: sqlite3.Error, path: Path) -> GalleryError:
    """Return the sentence for an SQLite error."""
    text = str(error)
    if "interrupted" in text:
        return GalleryError("The search took too long and was stopped.", "Use fewer filters, or longer words.")
    if "full" in text:
        return GalleryError("The disk is full; the change was not saved.", "Delete or export some images.")
    if "unable to open" in text:
        return GalleryError("There is no gallery here yet.", "Make a picture first.")
    if "malformed" in text or "not a database" in text:
        return DamagedIndex("The gallery's index is damaged; the pictures are not.", "Run: studio gallery doctor --fix")
    return disk_error(OSError(0, f"the index said: {text}"), path.parent)


def _is_word(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and 0 < len(value) <= 200)
