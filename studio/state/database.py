"""The SQLite file behind the queue's journal and the drafts: one connection, one lock, full sync.

It is opened after the gallery, whose lock keeps a second studio out. What it holds is worth an hour of typing at
most, so a damaged file never keeps the studio from starting: it is put aside, and said.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.atomic import make_folder
from studio.errors import StudioError

logger = logging.getLogger(__name__)

VERSION = 1

_VERSION_1 = (
    """
    CREATE TABLE jobs (
        sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
        id         TEXT NOT NULL UNIQUE,
        owner      TEXT NOT NULL,
        request    TEXT NOT NULL,
        created_us INTEGER NOT NULL,
        state      TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'finished', 'failed', 'cancelled')),
        attempts   INTEGER NOT NULL DEFAULT 0,
        ended_us   INTEGER,
        said       TEXT NOT NULL DEFAULT ''
    )
    """,
    "CREATE INDEX jobs_open ON jobs (sequence) WHERE state IN ('waiting', 'running')",
    """
    CREATE TABLE drafts (
        owner     TEXT NOT NULL,
        form      TEXT NOT NULL,
        page      TEXT NOT NULL,
        content   TEXT NOT NULL,
        saved_us  INTEGER NOT NULL,
        PRIMARY KEY (owner, form, page)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX drafts_saved ON drafts (saved_us)",
)
MIGRATIONS = (_VERSION_1,)  # MIGRATIONS[n] leads from version n to n + 1


class NotRemembered(StudioError):
    """The disk is full, or the file cannot be written."""


class Database:
    """Lends one connection to one thread at a time.

    Args:
        path: The file; made when missing, mode 0600.

    Raises:
        StudioError: The folder cannot be written, or a newer studio made the file (nothing is changed).
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        try:
            make_folder(path.parent)
            try:
                self._connection = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # busy, full or forbidden: not damaged
                    raise
                self._put_aside(error)
                self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise _explain(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection inside a transaction: committed, and on the disk, at the end; else rolled back.

        Raises:
            NotRemembered: The disk is full, or the file cannot be written.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                with self._connection:  # commits, or rolls back whatever is raised
                    yield self._connection
            except sqlite3.Error as error:
                raise _explain(error) from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version > VERSION:
                raise StudioError(
                    f"{self.path.name} was made by a newer version ({version}). Nothing was changed.",
                    "Update the studio.",
                )
            self.path.chmod(0o600)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA secure_delete = ON")  # a deleted prompt is gone
            for step in range(version, VERSION):
                db.execute("BEGIN IMMEDIATE")
                with db:
                    for statement in MIGRATIONS[step]:
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {step + 1}")
        except (sqlite3.Error, OSError, StudioError):
            db.close()
            raise
        return db

    def _put_aside(self, error: sqlite3.Error) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        logger.error("%s is damaged (%s) and was put aside as %s", self.path.name, error, aside.name)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.path.replace(aside)


def _explain(error: OSError | sqlite3.Error) -> NotRemembered:
    text = str(error)
    if "full" in text or "No space" in text:
        return NotRemembered("The disk is full.", "Delete or export some images, then try again.")
    logger.error("the studio's memory cannot be written: %s", text)
    return NotRemembered("The data directory cannot be written.", "Check its permissions and disk.")
