from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from studio.errors import StudioError
from studio.state.database import VERSION, Database
from studio.state.journal import KEPT_DAYS, Journal
from studio.state.memory import FILE, Memory


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Database(tmp_path / FILE))


def test_what_waits_and_what_runs_is_pending_in_the_order_it_came(journal: Journal) -> None:
    for name in ("a", "b", "c", "d"):
        journal.queued(name, "A", request="{}", created=5.5)
    journal.began("a")
    journal.began("b")
    journal.ended("b", "finished")
    journal.ended("d", "cancelled")
    pending = journal.pending()
    assert [(it.id, it.attempts, it.owner, it.created) for it in pending] == [("a", 1, "A", 5.5), ("c", 0, "A", 5.5)]


def test_a_job_begun_twice_is_poison_and_a_studio_that_ends_in_order_counts_no_attempt(journal: Journal) -> None:
    journal.queued("a", "A", request="{}", created=1)
    for is_poison in (False, False, False):
        journal.began("a")
        journal.put_back()
        assert journal.pending()[0].is_poison is is_poison
    journal.began("a")
    assert not journal.pending()[0].is_poison
    journal.began("a")
    assert journal.pending()[0].is_poison


def test_of_an_ended_job_nobodys_name_is_kept_and_after_a_month_nothing(tmp_path: Path) -> None:
    now = [1e9]
    journal = Journal(Database(tmp_path / FILE), clock=lambda: now[0])
    journal.queued("a", "a secret session", request="{}", created=now[0])
    journal.ended("a", "failed", "why")
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute("SELECT owner, state, said FROM jobs").fetchall() == [("", "failed", "why")]
    assert journal.prune() == 0
    now[0] += KEPT_DAYS * 86400 + 1
    assert journal.prune() == 1


def test_the_file_is_private_and_synced_in_full(tmp_path: Path) -> None:
    database = Database(tmp_path / "new" / FILE)
    with database.transaction() as db:
        pragmas = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert (tmp_path / "new" / FILE).stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_put_aside_and_the_studio_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 500)
    with Memory(tmp_path) as memory:
        memory.journal.queued("a", "A", request="{}", created=1)
    assert (tmp_path / f"{FILE}.damaged").read_bytes().startswith(b"not a database")
    assert "put aside" in caplog.text


def test_a_newer_studios_file_is_refused_unchanged(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(StudioError, match="newer version"):
        Memory(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_failure_inside_a_transaction_leaves_nothing_of_it(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE)
    journal = Journal(database)
    with pytest.raises(ZeroDivisionError), database.transaction() as db:
        db.execute("INSERT INTO jobs (id, owner, request, created_us, state) VALUES ('x', '', '', 1, 'waiting')")
        raise ZeroDivisionError
    assert journal.pending() == []
    with pytest.raises(StudioError):
        journal.queued("a", "A", request=None, created=1)  # type: ignore[arg-type]
    journal.queued("a", "A", request="{}", created=1)
    assert len(journal.pending()) == 1
