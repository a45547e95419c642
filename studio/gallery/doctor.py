"""The gallery's check-up: do index and files agree, and is every picture what it was when it was saved?

Every reliability test asks this examination whether anything was lost. With `fix` it mends: files without a
row get one, rows without a file go (their recipes are kept aside), files that do not decode are set aside.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio import atomic
from studio.errors import GalleryError
from studio.gallery import index
from studio.gallery.entry import Entry, picture_path
from studio.gallery.files import entry_from_file, open_own, picture_ids, thumbnail_path, write_thumbnail

if TYPE_CHECKING:
    from studio.gallery.gallery import Gallery
    from studio.pictures import PictureStore

STALE_PART_SECONDS = 600
_SAVE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its kind, the picture or file it is about, and what the doctor does about it."""

    kind: str
    what: str
    remedy: str
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of an examination."""

    pictures: int
    problems: tuple[Problem, ...]
    seconds: float

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong any more."""
        return all(problem.mended for problem in self.problems)


def examine(
    gallery: Gallery,
    *,
    fix: bool = False,
    inputs: PictureStore | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Check `gallery`, and mend it when `fix`.

    Args:
        gallery: Open for writing when `fix`.
        fix: Mend what can be mended.
        inputs: The store of inputs; what no recipe names and nobody used for 30 days is deleted when `fix`.
        progress: Called with the number of files read, now and then.

    Raises:
        GalleryError: `fix` on a gallery that is open read-only, or a full disk.
    """
    began = time.monotonic()
    problems = [*_integrity(gallery), *_agreement(gallery, fix)]
    for count, entry in enumerate(_rows(gallery)):
        problems += _file(gallery, entry, fix)
        if progress is not None and count % 500 == 0:
            progress(count)
    problems += [*_leftovers(gallery.folder, fix), *_reserve(gallery, fix)]
    if inputs is not None:
        problems += _unused(gallery, inputs, fix)
    with gallery.index.reading() as db:
        pictures = int(db.execute("SELECT count(*) FROM entries").fetchone()[0])
    return Report(pictures, tuple(problems), time.monotonic() - began)


def set_aside(folder: Path) -> Path:
    """Move a damaged index away, so that opening the gallery makes a new one from the files; return where it went.

    The gallery must not be open anywhere.
    """
    target = folder / f"index-damaged-{int(time.time())}.sqlite"
    atomic.replace(folder / "index.sqlite", target)
    for ending in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            atomic.replace(folder / f"index.sqlite{ending}", target.with_name(target.name + ending))
    return target


def _integrity(gallery: Gallery) -> Iterable[Problem]:
    with gallery.index.reading() as db:
        db.set_progress_handler(None, 0)  # may take longer than a page's query
        found = [row[0] for row in db.execute("PRAGMA integrity_check(5)")]
        found += [f"row {row[1]} of {row[0]}" for row in db.execute("PRAGMA foreign_key_check")][:5]
    if found != ["ok"]:
        yield Problem("damaged index", "; ".join(found)[:300], "Run: studio gallery doctor --fix --rebuild")


def _agreement(gallery: Gallery, fix: bool) -> list[Problem]:
    """Files without a row; rows without a file are found where every row's file is read."""
    with gallery.index.reading() as db:
        rows = {row[0] for row in db.execute("SELECT id FROM entries")}
    files = [entry_id for entry_id in picture_ids(gallery.folder) if entry_id not in rows]
    orphans = [entry_id for entry_id in files if not _is_being_saved(gallery, entry_id)]
    bad = set(gallery.take_in(orphans)) if fix else set()
    for entry_id in bad:
        _quarantine(gallery.folder, entry_id)
    remedies = {False: "It is taken in with its recipe.", True: "It does not decode; it is moved to damaged/."}
    return [Problem("file without row", entry_id, remedies[entry_id in bad], mended=fix) for entry_id in orphans]


def _is_being_saved(gallery: Gallery, entry_id: str) -> bool:
    """Whether its row has come by now, or may come any moment: a studio may be saving while we look."""
    with gallery.index.reading() as db:
        if db.execute("SELECT 1 FROM entries WHERE id = ?", (entry_id,)).fetchone():
            return True
    try:
        age = time.time() - picture_path(gallery.folder, entry_id).stat().st_mtime
    except FileNotFoundError:
        return True
    return gallery.read_only and age < _SAVE_SECONDS


def _rows(gallery: Gallery) -> Iterable[Entry]:
    """Every row, the trash included."""
    with gallery.index.reading() as db:
        sequences = [row[0] for row in db.execute("SELECT sequence FROM entries ORDER BY sequence")]
    for start in range(0, len(sequences), 500):
        with gallery.index.reading() as db:
            yield from index.entries(db, gallery.folder, sequences[start : start + 500], order="ASC")


def _file(gallery: Gallery, entry: Entry, fix: bool) -> list[Problem]:
    try:
        same = hashlib.sha256(entry.path.read_bytes()).hexdigest() == entry.file_sha256
    except FileNotFoundError:
        if fix:
            _keep_recipe(gallery.folder, entry)
            gallery.forget([entry.id])
        return [Problem("row without file", entry.id, "The row goes; its recipe is kept in lost.jsonl.", mended=fix)]
    except OSError as error:
        return [Problem("unreadable file", entry.id, f"{error.strerror}: check the disk and its permissions.")]
    if same:
        return _thumbnail(gallery, entry, fix)
    try:
        open_own(entry.path)
    except GalleryError:
        if fix:
            _keep_recipe(gallery.folder, entry)
            _quarantine(gallery.folder, entry.id)
            gallery.forget([entry.id])
        return [Problem("damaged file", entry.id, "It is moved to damaged/, its recipe to lost.jsonl.", mended=fix)]
    if fix:
        changed = entry_from_file(gallery.folder, entry.id)
        gallery.rewrite(replace(entry, sha256=changed.sha256, file_sha256=changed.file_sha256, bytes=changed.bytes))
    return [Problem("changed file", entry.id, "Another program changed it; the index takes it as it is.", mended=fix)]


def _thumbnail(gallery: Gallery, entry: Entry, fix: bool) -> list[Problem]:
    if thumbnail_path(gallery.folder, entry.id).exists():
        return []
    if fix:
        write_thumbnail(gallery.folder, entry.id, open_own(entry.path))
    return [Problem("missing thumbnail", entry.id, "It is made again when somebody looks.", mended=fix)]


def _leftovers(folder: Path, fix: bool) -> list[Problem]:
    old = time.time() - STALE_PART_SECONDS
    found = []
    for path in sorted(folder.rglob(f"*{atomic.PART}")):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < old:
                if fix:
                    path.unlink()
                found.append(Problem("unfinished file", path.name, "Left by a crash; it is deleted.", mended=fix))
    return found


def _reserve(gallery: Gallery, fix: bool) -> list[Problem]:
    if gallery.reserve.is_whole or (fix and gallery.reserve.fill()):
        return []
    return [Problem("no reserve", "reserve.bin", "Free some disk space; it is laid down again at the next start.")]


def _unused(gallery: Gallery, inputs: PictureStore, fix: bool) -> list[Problem]:
    if not fix:
        return []
    with gallery.index.reading() as db:
        named = {row[0] for row in db.execute("SELECT DISTINCT ref FROM lineage")}
    return [Problem("unused input", ref, "It is deleted.", mended=True) for ref in inputs.sweep(named)]


def _keep_recipe(folder: Path, entry: Entry) -> None:
    with (folder / "lost.jsonl").open("a", encoding="ascii") as file:
        file.write(json.dumps({"id": entry.id, "recipe": json.loads(entry.recipe.to_json())}) + "\n")


def _quarantine(folder: Path, entry_id: str) -> None:
    atomic.make_folder(folder / "damaged")
    with suppress(FileNotFoundError):
        atomic.replace(picture_path(folder, entry_id), folder / "damaged" / f"{entry_id}.png")
