"""Promises R5, R6, R7: what kill -9, a second studio and a full disk can do to the gallery, which is nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gallery_making import noise, save

from studio import atomic
from studio.errors import GalleryError
from studio.gallery import Filters, Gallery, GalleryLocked, files, space
from studio.pictures import PictureStore
from tests.promises import count

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork: run on Linux or macOS")


def children(folder: Path, *arguments: object) -> list[list[str]]:
    """Run saving_child.py and return what each of its children acknowledged."""
    done = subprocess.run(
        [sys.executable, HERE / "saving_child.py", folder, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_nothing_lost(folder: Path, outcomes: list[list[str]]) -> None:
    """Every acknowledged picture is there, whole; nothing is half, ghostly or without a row."""
    acknowledged = {entry_id for outcome in outcomes for entry_id in outcome}
    with Gallery(folder, reserve_bytes=0) as gallery:
        assert [problem for problem in gallery.doctor().problems if problem.kind != "missing thumbnail"] == []
        there = {entry.id: entry for entry in gallery.each()}
        assert acknowledged <= there.keys()
        assert len(there) <= len(acknowledged) + len(outcomes)  # and at most the one that was under way
        for entry in there.values():
            number = int(entry.prompt.removeprefix("picture "))
            assert gallery.open(entry.id).tobytes() == noise(number).tobytes()


@needs_fork
def test_kill_at_any_line_of_a_save_loses_nothing(tmp_path: Path, figure: Callable[..., None]) -> None:
    """Promise R5: 100 points spread over a save in the default run, every single line in the full one."""
    outcomes = children(tmp_path / "gallery", "lines", count(100, 0))
    assert len(outcomes) >= count(102, 300)
    assert sum(map(len, outcomes)) >= 1
    assert_nothing_lost(tmp_path / "gallery", outcomes)
    figure(killed_at_lines=len(outcomes) - 2, lost=0, half=0)


@needs_fork
def test_kill_at_any_moment_loses_nothing(tmp_path: Path, figure: Callable[..., None]) -> None:
    """Promise R5: 100 kills at random moments, also inside SQLite and system calls; 1,000 in the full run."""
    outcomes = children(tmp_path / "gallery", "random", count(100, 1000))
    assert_nothing_lost(tmp_path / "gallery", outcomes)
    assert sum(map(len, outcomes)) > len(outcomes) / 2
    figure(killed_at_any_moment=len(outcomes), acknowledged=sum(map(len, outcomes)), lost=0, half=0)


def test_interrupted_deletion_ends_in_a_deletion(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for operation in ("row", "file"):
        with Gallery(folder, reserve_bytes=0) as gallery:
            entry = save(gallery, 1)
            gallery.trash([entry.id])
            with monkeypatch.context() as patch:
                if operation == "row":
                    patch.setattr("studio.gallery.index.forget", _power_cut)
                else:
                    patch.setattr(Path, "unlink", _power_cut)
                with pytest.raises(KeyboardInterrupt):
                    gallery.empty_trash(older_than_days=0)
        with Gallery(folder, reserve_bytes=0) as gallery:
            assert gallery.count(Filters(trashed=True)) == gallery.count() == 0
            assert not list(folder.glob(f"pictures/*/{entry.id}*"))
            assert gallery.doctor().is_healthy


def _power_cut(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_second_writer_is_refused_with_the_process_and_readers_are_welcome(folder: Path, gallery: Gallery) -> None:
    """Promise R6."""
    entry = save(gallery, 1)
    code = (
        "import sys; from pathlib import Path; from studio.gallery import Gallery, GalleryLocked\n"
        "try: Gallery(Path(sys.argv[1]))\n"
        "except GalleryLocked as error: print(error.process, error.message)\n"
        "with Gallery(Path(sys.argv[1]), read_only=True) as g: print(g.page().entries[0].id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    refusal, seen = done.stdout.splitlines()
    assert refusal == (f"{os.getpid()} Gallery is open in another studio (process {os.getpid()}). Open read-only?")
    assert seen == entry.id
    with pytest.raises(GalleryLocked):
        Gallery(folder)


def test_read_only_gallery_changes_nothing(folder: Path, reopen: Callable[..., Gallery]) -> None:
    with reopen() as writer:
        entry = save(writer, 1)
        gallery = reopen(read_only=True)
        before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "-shm" not in p.name}
        calls: list[Callable[[], object]] = [
            lambda: save(gallery, 2),
            lambda: gallery.star([entry.id]),
            lambda: gallery.note(entry.id, "x"),
            lambda: gallery.collect([entry.id], "x"),
            lambda: gallery.trash([entry.id]),
            lambda: gallery.restore([entry.id]),
            lambda: gallery.empty_trash(older_than_days=0),
            lambda: gallery.doctor(fix=True),
        ]
        for call in calls:
            with pytest.raises(GalleryError, match="open read-only"):
                call()
        assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "-shm" not in p.name}


def test_lock_of_a_dead_process_holds_nobody_up(folder: Path) -> None:
    folder.mkdir()
    (folder / "studio.lock").write_text("999999\n")
    Gallery(folder, reserve_bytes=0).close()


def test_missing_gallery_cannot_be_read(folder: Path) -> None:
    with pytest.raises(GalleryError, match="There is no gallery here yet"):
        Gallery(folder, read_only=True)
    assert not folder.exists()


def test_many_threads_save_and_read_at_once(gallery: Gallery, figure: Callable[..., None]) -> None:
    """Promise R6: no "database is locked" ever reaches anybody; 8 threads, 4,000 saves in the full run."""
    failures: list[BaseException] = []
    each = count(12, 500)

    def work(thread: int) -> None:
        try:
            for number in range(each):
                entry = save(gallery, thread * 1000 + number, owner=f"owner {thread}")
                gallery.star([entry.id], owner=f"owner {thread}")
                assert gallery.page(limit=5, owner=f"owner {thread}").entries[0].starred
        except BaseException as error:  # noqa: BLE001 -- carried to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    ids = [entry.id for entry in gallery.each()]
    figure(saves_by_8_threads=len(ids), failures=len(failures))
    assert len(ids) == len(set(ids)) == 8 * each
    assert gallery.doctor().is_healthy


def failing(real: Callable[..., Any], at: Iterator[int], number: int) -> Callable[..., Any]:
    """`real`, but the call at which the shared counter `at` reaches `number` finds the disk full."""

    def call(*arguments: Any, **options: Any) -> Any:
        if next(at) == number:
            raise OSError((number % 2 and errno.ENOSPC) or errno.EDQUOT, "No space left on device")
        return real(*arguments, **options)

    return call


def test_disk_that_fills_up_at_any_operation_leaves_nothing_half(
    folder: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[..., None]
) -> None:
    """Promise R7: the k-th file operation of a save fails, for every k: a clear error or a whole picture."""
    gallery = Gallery(folder, reserve_bytes=0)
    failed, number = 0, 0
    save(gallery, 500)  # the folders of this time exist
    while number < 60:
        counter = iter(range(1000))
        with monkeypatch.context() as patch:
            for module, name in ((os, "open"), (os, "write"), (os, "fsync"), (Path, "replace")):
                patch.setattr(module, name, failing(getattr(module, name), counter, number))
            before = gallery.count()
            try:
                save(gallery, 1000 + number)
                after = before + 1
            except GalleryError as error:
                assert "The disk is full" in error.message
                failed, after = failed + 1, before
        assert gallery.count() == after
        assert not list(folder.rglob(f"*{atomic.PART}"))
        if next(counter) <= number:
            break  # the save has fewer operations than that
        number += 1
    figure(operations_that_found_the_disk_full=number, half=0)
    assert failed >= 4
    assert [p for p in gallery.doctor().problems if p.kind != "missing thumbnail"] == []
    gallery.close()


def test_index_that_cannot_grow_leaves_no_file_and_lets_people_delete(
    gallery: Gallery, figure: Callable[..., None]
) -> None:
    """Promise R7: SQLite's own "disk is full" at every size it may be met at."""
    entries = [save(gallery, n) for n in range(5)]
    with gallery.index.writing() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    refused = 0
    for extra in range(12):
        with gallery.index.writing() as db:
            db.execute(f"PRAGMA max_page_count = {pages + extra}")
        files_before = set(gallery.folder.glob("pictures/*/*"))
        try:
            for number in range(40):
                files_before.add(save(gallery, 1000 + extra * 100 + number, prompt="long " * 300).path)
        except GalleryError as error:
            assert error.message == "The disk is full; the change was not saved."
            refused += 1
        assert set(gallery.folder.glob("pictures/*/*")) == files_before
    figure(index_sizes_at_which_it_is_full=refused)
    assert refused == 12
    with gallery.index.writing() as db:
        db.execute(f"PRAGMA max_page_count = {2**30}")  # what dropping the reserve does on a real disk
    gallery.trash([entries[0].id])
    assert gallery.empty_trash(older_than_days=0) == 1
    assert gallery.doctor().is_healthy


def test_nothing_is_begun_that_has_no_room(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "free_bytes", lambda _: 3 * 2**20)
    with pytest.raises(GalleryError, match=r"^Only 3 MB left; image not saved\. Delete or export some images"):
        save(gallery, 1)
    assert gallery.count() == 0
    assert not list(gallery.folder.glob("pictures/*/*"))


def test_reserve_is_given_up_for_deleting_and_laid_down_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gallery(folder, reserve_bytes=2**20) as gallery:
        assert (folder / "reserve.bin").stat().st_size == 2**20
        entry = save(gallery, 1)
        with monkeypatch.context() as patch:
            patch.setattr("studio.gallery.gallery.free_bytes", lambda _: 0)
            patch.setattr(space, "free_bytes", lambda _: 0)
            gallery.trash([entry.id])
            assert not (folder / "reserve.bin").exists()
            assert [p.kind for p in gallery.doctor().problems] == ["no reserve"]
        assert gallery.empty_trash(older_than_days=0) == 1
        assert (folder / "reserve.bin").stat().st_size == 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MiB, where the system lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk: run as root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_really_full_disk_refuses_clearly_and_still_deletes(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[..., None]
) -> None:
    """Promise R7, on a real full disk, the admission check switched off so that every write meets it."""
    monkeypatch.setattr("studio.gallery.gallery.admit", lambda *_: None)
    monkeypatch.setattr(files, "write_thumbnail", lambda *_: None)
    with Gallery(small_disk / "gallery", reserve_bytes=2**19) as gallery:
        saved, refused = [], 0
        for number in range(200):
            try:
                saved.append(save(gallery, number, width=2048, height=1024))
            except GalleryError as error:
                assert "The disk is full" in error.message
                refused += 1
                if refused > 10:
                    break
        assert len(saved) > 5 and refused > 10
        with contextlib.suppress(OSError):  # where even this finds no room, there is nothing left to fill
            (small_disk / "filler").write_bytes(bytes(4096))
        assert gallery.count() == len(saved)
        gallery.trash([saved[0].id, saved[1].id])
        assert gallery.empty_trash(older_than_days=0) == 2
        assert gallery.count() == len(saved) - 2
        kinds = {problem.kind for problem in gallery.doctor().problems}
        figure(saves_on_a_full_disk_refused=refused, deleted_there=2)
        assert kinds <= {"no reserve", "missing thumbnail"}


def test_inputs_meet_a_full_disk_with_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PictureStore(tmp_path / "inputs")
    monkeypatch.setattr(os, "fsync", failing(os.fsync, iter(range(9)), 1))
    for _ in range(2):
        try:
            store.put(noise(1))
        except GalleryError as error:
            assert "The disk is full" in error.message
    assert not list(tmp_path.rglob(f"*{atomic.PART}"))
