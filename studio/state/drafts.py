"""Drafts: what lies on every tab of every page, unsent, as the page last told it.

A draft belongs to a session (the cookie), a form (the tab's id) and a page (a name that the browser's tab keeps over
reloads). A page that is new gets the session's latest draft of the form; one that was reloaded gets its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from studio.errors import InvalidRequest
from studio.state.database import Database

LARGEST_BYTES = 1024 * 1024
KEPT_DAYS = 90
PAGES_PER_FORM = 8  # of one session; the oldest go
_LONGEST_NAME = 64


class Drafts:
    """Rows of drafts; all threads may use it.

    Args:
        database: Where they are.
        clock: Returns seconds since 1970; stands in for the machine's clock in tests.

    Every method raises NotRemembered when the disk is full or cannot be written.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def save(self, owner: str, form: str, *, page: str, content: dict[str, Any]) -> None:
        """Keep what lies on a page's form; replaces what was kept of it.

        Raises:
            InvalidRequest: A name or the content is too long.
        """
        text = json.dumps(content, separators=(",", ":"))
        if len(text.encode()) > LARGEST_BYTES:
            raise InvalidRequest(f"This page's inputs take more than {LARGEST_BYTES // 1024} KB and are not kept.")
        if not form or max(len(form), len(page)) > _LONGEST_NAME:
            raise InvalidRequest("The page sent a name that is not one.", "Reload the page.")
        with self._database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO drafts (owner, form, page, content, saved_us) VALUES (?, ?, ?, ?, ?)",
                (owner, form, page, text, int(self._clock() * 1e6)),
            )
            db.execute(
                "DELETE FROM drafts WHERE owner = ? AND form = ? AND page NOT IN "
                "(SELECT page FROM drafts WHERE owner = ? AND form = ? ORDER BY saved_us DESC LIMIT ?)",
                (owner, form, owner, form, PAGES_PER_FORM),
            )

    def find(self, owner: str, form: str, *, page: str = "") -> dict[str, Any] | None:
        """Return the draft of `page`, or the session's latest for a page that has none; None where there is none."""
        with self._database.transaction() as db:
            row = db.execute(
                "SELECT content FROM drafts WHERE owner = ? AND form = ? ORDER BY page = ? DESC, saved_us DESC LIMIT 1",
                (owner, form, page),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def forget(self, owner: str) -> int:
        """Delete every draft of a session; return how many."""
        with self._database.transaction() as db:
            return db.execute("DELETE FROM drafts WHERE owner = ?", (owner,)).rowcount

    def prune(self) -> int:
        """Delete what was not touched for KEPT_DAYS; return how many."""
        before = int((self._clock() - KEPT_DAYS * 86400) * 1e6)
        with self._database.transaction() as db:
            return db.execute("DELETE FROM drafts WHERE saved_us < ?", (before,)).rowcount
