"""The index's tables, their version, and the way from every older version to this one.

The version is SQLite's own `user_version`. Each migration runs in one transaction together with the change of
version, so a killed migration leaves the old version whole; before the first one a backup is written.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path

from studio.errors import GalleryError

VERSION = 1
APPLICATION_ID = 0x54534752  # "TSGR": tells our index from any other SQLite file

_VERSION_1 = """
CREATE TABLE entries (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice, even after the newest is deleted
    id              TEXT NOT NULL UNIQUE,
    created_us      INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    model           TEXT NOT NULL,
    prompt          TEXT NOT NULL,
    negative_prompt TEXT NOT NULL,
    seed            INTEGER,
    width           INTEGER NOT NULL,
    height          INTEGER NOT NULL,
    sha256          TEXT NOT NULL,
    file_sha256     TEXT NOT NULL,
    bytes           INTEGER NOT NULL,
    owner           TEXT NOT NULL,
    job             TEXT NOT NULL,
    starred         INTEGER NOT NULL DEFAULT 0,
    note            TEXT NOT NULL DEFAULT '',
    trashed_us      INTEGER
);
-- with trashed_us, so that filters and counts of the gallery need the index alone
CREATE INDEX entries_owner   ON entries (owner, trashed_us, sequence);
CREATE INDEX entries_model   ON entries (model, trashed_us, sequence);
CREATE INDEX entries_kind    ON entries (kind, trashed_us, sequence);
CREATE INDEX entries_size    ON entries (width, height, trashed_us, sequence);
CREATE INDEX entries_created ON entries (created_us);
CREATE INDEX entries_sha256  ON entries (sha256);
CREATE INDEX entries_job     ON entries (job);
CREATE INDEX entries_starred ON entries (sequence) WHERE starred;
CREATE INDEX entries_trashed ON entries (trashed_us) WHERE trashed_us IS NOT NULL;
-- apart from the entries, so that those stay narrow and quick to walk
CREATE TABLE recipes (
    sequence INTEGER PRIMARY KEY REFERENCES entries ON DELETE CASCADE,
    json     TEXT NOT NULL
);
CREATE TABLE lineage (
    child INTEGER NOT NULL REFERENCES entries ON DELETE CASCADE,
    place INTEGER NOT NULL,
    role  TEXT NOT NULL,
    ref   TEXT NOT NULL,
    PRIMARY KEY (child, place)
) WITHOUT ROWID;
CREATE INDEX lineage_ref ON lineage (ref);
CREATE TABLE collections (
    id    INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    name  TEXT NOT NULL,
    UNIQUE (owner, name)
);
CREATE TABLE collected (
    collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    sequence   INTEGER NOT NULL REFERENCES entries ON DELETE CASCADE,
    PRIMARY KEY (collection, sequence)
) WITHOUT ROWID;
CREATE INDEX collected_sequence ON collected (sequence);
CREATE VIRTUAL TABLE words USING fts5 (
    prompt, negative_prompt, settings, note, collections,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co So'", prefix = '2 3'
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1,)  # MIGRATIONS[n] leads from version n to n + 1


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of an index that this studio can read: 0 for an empty one, else 1 to VERSION.

    Raises:
        GalleryError: A newer studio made it, or it is not an index of ours. Nothing was changed.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if tables and application != APPLICATION_ID:
        raise GalleryError("The file index.sqlite is not a gallery's index. Nothing was changed.", "Move it away.")
    if version > VERSION:
        raise GalleryError(
            f"Gallery was made by a newer version (schema {version}). Nothing was changed.", "Update the studio."
        )
    return version


def migrate(db: sqlite3.Connection, backup: Path, *, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Bring the index to the newest version, step by step, after writing a backup of one that holds anything.

    Args:
        db: A connection in autocommit mode (`isolation_level=None`).
        backup: Where the backup goes; replaced when it exists.
        migrations: Stands in for MIGRATIONS in tests.
    """
    version = version_of(db)
    if version == len(migrations):
        return
    if version:
        back_up(db, backup)
    for step in range(version, len(migrations)):
        db.execute("BEGIN IMMEDIATE")
        with ExitStack() as changing:
            changing.callback(db.execute, "ROLLBACK")
            for statement in statements(migrations[step]):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {step + 1}")
            changing.pop_all()
        db.execute("COMMIT")


def back_up(db: sqlite3.Connection, target: Path) -> None:
    """Write a whole, compact copy of the index to `target` while others go on reading and writing."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    db.execute("VACUUM INTO ?", (str(part),))
    part.chmod(0o600)
    part.replace(target)


def statements(script: str) -> list[str]:
    """Return the statements of an SQL script one by one (`executescript` would commit in between)."""
    found, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    return found
