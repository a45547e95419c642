"""An old index opens, a newer one is refused undamaged, a killed migration leaves old or new; backups are whole."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from gallery_making import save

from studio.errors import GalleryError
from studio.gallery import Gallery, schema
from tests.promises import count

VERSION_1 = "8b93ff62cc64390e62194d92fc26aa402bc86f602903572253d66436378ca7cc"
WRITING = ("BEGIN", "ALTER", "CREATE", "UPDATE", "PRAGMA application_id =", "COMMIT")
NEXT = (
    *schema.MIGRATIONS,
    "ALTER TABLE entries ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';\n"
    "CREATE INDEX entries_mood ON entries (mood);\n"
    "UPDATE entries SET mood = 'bright' WHERE starred;\n",
)


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def dump(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    lines = list(db.iterdump())
    db.close()
    return lines


@pytest.fixture
def old(folder: Path, reopen: Callable[..., Gallery]) -> Path:
    """An index of version 1 with pictures in it, closed."""
    with reopen() as gallery:
        for number in range(3):
            save(gallery, number)
        gallery.star([gallery.page().entries[0].id])
    return folder / "index.sqlite"


def test_fresh_index_has_the_newest_version(gallery: Gallery) -> None:
    with gallery.index.reading() as db:
        assert schema.version_of(db) == schema.VERSION == len(schema.MIGRATIONS)


def test_older_index_is_brought_forward_after_a_backup(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise R18: nothing is lost, and the backup holds what was there."""
    before = dump(old)
    db = connect(old)
    monkeypatch.setattr(schema, "VERSION", 2)
    schema.migrate(db, old.with_name("backup.sqlite"), migrations=NEXT)
    assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert db.execute("SELECT mood FROM entries ORDER BY sequence").fetchall() == [("calm",), ("calm",), ("bright",)]
    schema.migrate(db, old.with_name("backup.sqlite"), migrations=NEXT)
    db.close()
    backup = old.with_name("backup.sqlite")
    assert sorted(dump(backup)) == sorted(before)
    assert backup.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("at", range(7))
def test_migration_that_dies_anywhere_leaves_old_or_new(
    old: Path, at: int, monkeypatch: pytest.MonkeyPatch, figure: Callable[..., None]
) -> None:
    """Promise R18: the process vanishes before its statement number `at`: nothing is rolled back by hand."""
    monkeypatch.setattr(schema, "VERSION", 2)
    before, executed = dump(old), 0

    class Dying(sqlite3.Connection):
        def execute(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            nonlocal executed
            if str(arguments[0]).startswith(
                ("BEGIN", "ALTER", "CREATE", "UPDATE", "PRAGMA application_id =", "COMMIT")
            ):
                executed += 1
                if executed > at:
                    super().close()
                    raise KeyboardInterrupt
            return super().execute(*arguments)  # type: ignore[arg-type]

    dying = sqlite3.connect(old, isolation_level=None, factory=Dying)
    try:
        schema.migrate(dying, old.with_name("backup.sqlite"), migrations=NEXT)
    except (KeyboardInterrupt, sqlite3.ProgrammingError):
        assert dump(old) == before
    else:
        pytest.fail("the migration has fewer statements than that") if at < 6 else None
    db = connect(old)
    schema.migrate(db, old.with_name("backup.sqlite"), migrations=NEXT)
    assert db.execute("SELECT count(*) FROM entries WHERE mood = 'bright'").fetchone() == (1,)
    db.close()
    figure(migrations_killed=1, between_old_and_new=0)


@pytest.mark.parametrize("read_only", [False, True])
def test_newer_index_is_refused_and_not_touched(old: Path, reopen: Callable[..., Gallery], read_only: bool) -> None:
    """Promise R18: not a byte of it changes."""
    db = connect(old)
    db.execute("PRAGMA user_version = 7")
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    before = old.read_bytes()
    with pytest.raises(GalleryError, match=r"Gallery was made by a newer version \(schema 7\)\. Nothing was changed"):
        reopen(read_only=read_only)
    assert old.read_bytes() == before
    assert {path.name for path in old.parent.glob("index*")} == {"index.sqlite"}


def test_index_of_the_first_release_opens(old: Path, reopen: Callable[..., Gallery]) -> None:
    """A released migration never changes, or old galleries and new ones part ways: add another after it."""
    assert hashlib.sha256(schema.MIGRATIONS[0].encode()).hexdigest() == VERSION_1
    with reopen() as gallery:
        assert [entry.seed for entry in gallery.each()] == [2, 1, 0]


def test_backups_made_while_pictures_are_saved_are_whole(
    gallery: Gallery, tmp_path: Path, figure: Callable[..., None]
) -> None:
    """Promise R19: the index, then the files; restored, each holds what was acknowledged before, every byte of it."""
    saved, is_over = [save(gallery, 0).id], threading.Event()

    def go_on_saving() -> None:
        while not is_over.is_set():
            saved.append(save(gallery, len(saved)).id)
            is_over.wait(0.01)

    saver = threading.Thread(target=go_on_saving)
    saver.start()
    backups = count(3, 40)
    try:
        for number in range(backups):
            before = set(saved)
            assert before <= restored(gallery, tmp_path / str(number))
    finally:
        is_over.set()
        saver.join()
    figure(backups=backups, pictures_saved_meanwhile=len(saved), mismatches=0)


def restored(gallery: Gallery, folder: Path) -> set[str]:
    """Back a gallery up into `folder`, open it there, and return the ids of its pictures, each looked at."""
    folder.mkdir()
    db = connect(gallery.folder / "index.sqlite")
    schema.back_up(db, folder / "index.sqlite")
    db.close()
    shutil.copytree(gallery.folder / "pictures", folder / "pictures", ignore=shutil.ignore_patterns("*.part"))
    with Gallery(folder, reserve_bytes=0) as copy:
        newer = {"missing thumbnail", "file without row"}  # than the index's copy; taken in when asked to
        assert {problem.kind for problem in copy.doctor().problems} <= newer
        found = {entry.id for entry in copy.each() if copy.open(entry.id)}
    shutil.rmtree(folder)
    return found
