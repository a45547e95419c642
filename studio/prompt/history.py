"""The prompts an artist has used: each once, newest first, searchable, kept apart by owner."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from studio.errors import StudioError
from studio.gallery.recipe import owner_key

KEPT = 2000
_VERSION = 1
_TABLE = """
CREATE TABLE prompts (
    owner    TEXT NOT NULL,
    prompt   TEXT NOT NULL,
    negative TEXT NOT NULL,
    used     REAL NOT NULL,
    times    INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (owner, prompt, negative)
) WITHOUT ROWID;
CREATE INDEX prompts_used ON prompts (owner, used);
"""


@dataclass(frozen=True, slots=True)
class Used:
    """A prompt that was used: when last (seconds since 1970), and how often."""

    prompt: str
    negative_prompt: str
    used: float
    times: int


class PromptHistory:
    """A SQLite file of prompts, the last 2,000 of each owner. All threads may use it.

    Args:
        path: The file; made when first written. Of an owner only a one-way key is stored.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, prompt: str, negative_prompt: str = "", *, owner: str) -> None:
        """Put a prompt at the top; one that is there already moves up.

        Raises:
            StudioError: The file cannot be written, or a newer studio made it.
        """
        key = owner_key(owner)
        with self._open() as db:
            db.execute(
                "INSERT INTO prompts (owner, prompt, negative, used) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET used = excluded.used, times = times + 1",
                (key, prompt, negative_prompt, time.time()),
            )
            db.execute(
                "DELETE FROM prompts WHERE owner = ?1 AND used < "
                "(SELECT used FROM prompts WHERE owner = ?1 ORDER BY used DESC LIMIT 1 OFFSET ?2)",
                (key, KEPT - 1),
            )

    def find(self, words: str = "", *, owner: str, limit: int = 40) -> list[Used]:
        """Return `owner`'s prompts that hold every word of `words`, the latest first.

        Raises:
            StudioError: The file cannot be read.
        """
        if not self._path.exists():
            return []
        wanted = words.split()
        clause = "".join(" AND (prompt LIKE ? ESCAPE '\\' OR negative LIKE ? ESCAPE '\\')" for _ in wanted)
        patterns = [pattern for word in wanted for pattern in [f"%{_literal(word)}%"] * 2]
        with self._open() as db:
            rows = db.execute(
                f"SELECT prompt, negative, used, times FROM prompts WHERE owner = ?{clause} ORDER BY used DESC LIMIT ?",
                (owner_key(owner), *patterns, limit),
            ).fetchall()
        return [Used(*row) for row in rows]

    def forget(self, prompt: str, negative_prompt: str = "", *, owner: str) -> None:
        """Take a prompt out; raises StudioError as `add` does."""
        with self._open() as db:
            db.execute(
                "DELETE FROM prompts WHERE owner = ? AND prompt = ? AND negative = ?",
                (owner_key(owner), prompt, negative_prompt),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                db = sqlite3.connect(self._path, timeout=10)
                try:
                    with db:
                        self._prepare(db)
                        yield db
                finally:
                    db.close()
        except (sqlite3.Error, OSError) as error:
            raise StudioError(f"The prompt history cannot be used: {error}.", "Check the data folder.") from error

    def _prepare(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StudioError("The prompt history is from a newer studio.", "Update the studio.")
        if version == 0:
            db.executescript(_TABLE)
            db.execute(f"PRAGMA user_version = {_VERSION}")


def _literal(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
