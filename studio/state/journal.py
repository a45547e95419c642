"""The queue's journal: a row per job, so that a crash or a restart loses none and runs none twice over.

A job that was running when the studio died is offered again once; one that has died with the studio twice is
retired, since a third time would only keep the studio from starting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from studio.state.database import Database

MOST_ATTEMPTS = 2
KEPT_DAYS = 30

State: TypeAlias = Literal["finished", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Pending:
    """A job that has not ended.

    Attributes:
        id: Of the job.
        owner: The session it belongs to.
        request: JSON of the request, with its seed.
        created: Seconds since 1970.
        attempts: How often it was begun.
    """

    id: str
    owner: str
    request: str
    created: float
    attempts: int

    @property
    def is_poison(self) -> bool:
        """Whether it was begun as often as a job may be."""
        return self.attempts >= MOST_ATTEMPTS


class Journal:
    """Rows of jobs; all threads may use it.

    Args:
        database: Where they are.
        clock: Returns seconds since 1970; stands in for the machine's clock in tests.

    Every method raises NotRemembered when the disk is full or cannot be written.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def queued(self, job_id: str, owner: str, *, request: str, created: float) -> None:
        """Note a new job; when this returns, a crash cannot lose it."""
        with self._database.transaction() as db:
            db.execute(
                "INSERT INTO jobs (id, owner, request, created_us, state) VALUES (?, ?, ?, ?, 'waiting')",
                (job_id, owner, request, int(created * 1e6)),
            )

    def began(self, job_id: str) -> None:
        """Note that a job is about to run."""
        with self._database.transaction() as db:
            db.execute("UPDATE jobs SET state = 'running', attempts = attempts + 1 WHERE id = ?", (job_id,))

    def ended(self, job_id: str, state: State, said: str = "") -> None:
        """Note how a job ended; whose it was is no longer kept."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET state = ?, said = ?, owner = '', ended_us = ? WHERE id = ?",
                (state, said, int(self._clock() * 1e6), job_id),
            )

    def put_back(self) -> None:
        """Let what runs wait again, as if it had not begun: the studio ends in good order."""
        with self._database.transaction() as db:
            db.execute("UPDATE jobs SET state = 'waiting', attempts = attempts - 1 WHERE state = 'running'")

    def pending(self) -> list[Pending]:
        """Return the jobs that have not ended, in the order they came."""
        with self._database.transaction() as db:
            rows = db.execute(
                "SELECT id, owner, request, created_us, attempts FROM jobs "
                "WHERE state IN ('waiting', 'running') ORDER BY sequence"
            ).fetchall()
        return [Pending(row[0], row[1], row[2], row[3] / 1e6, row[4]) for row in rows]

    def prune(self) -> int:
        """Delete the rows of jobs that ended more than KEPT_DAYS ago; return how many."""
        before = int((self._clock() - KEPT_DAYS * 86400) * 1e6)
        with self._database.transaction() as db:
            return db.execute("DELETE FROM jobs WHERE ended_us < ?", (before,)).rowcount
