"""The gallery: PNG files that carry their recipe, and the index over them.

A picture is saved in this order: temp file, fsync, rename, fsync of the folder, row. So a row never lacks its
file, a visible file is never half, and a file whose row was lost to a crash is found at the next start.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image

from studio import atomic
from studio.errors import GalleryError
from studio.gallery import index, lineage, marks
from studio.gallery.catalogue import Catalogue
from studio.gallery.doctor import Report, examine
from studio.gallery.entry import Entry, is_id, new_id, picture_path, sequence_of, shard, unique
from studio.gallery.files import (
    DELETED,
    describe,
    entry_from_file,
    picture_ids,
    thumbnail_path,
    write_thumbnail,
)
from studio.gallery.lock import WriterLock
from studio.gallery.png import XMP_KEY, encode_png
from studio.gallery.provenance import SOFTWARE, xmp
from studio.gallery.recipe import (
    TEXT_KEY,
    Parent,
    Recipe,
    encodable,
    key_of,
    owner_key,
    parents_of,
    settings_of,
    shareable,
)
from studio.gallery.space import RESERVE_BYTES, SPARE_BYTES, Reserve, admit, free_bytes
from studio.interop.a1111 import a1111_parameters
from studio.pictures import PictureStore, canonical
from studio.requests import Request

logger = logging.getLogger(__name__)

RETENTION_DAYS = 30


class Gallery(Catalogue):
    """A folder of pictures with its index, open for one writer and any number of readers. All threads may use it.

    Args:
        folder: The gallery's folder, by convention `settings.gallery_dir`; made when missing.
        read_only: Take no lock and change nothing; works beside a studio that writes.
        clock: Returns seconds since 1970; stands in for the machine's clock in tests.
        reserve_bytes: Room kept back so that deleting works on a full disk; 0 keeps none.
        parting: Is told of a picture just before it is deleted for good, to delete what belongs to it alone.

    Raises:
        GalleryLocked: Another studio writes here; its process is named, read-only is offered.
        GalleryError: A newer schema (nothing is changed), a damaged index, a folder that cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        reserve_bytes: int = RESERVE_BYTES,
        parting: Callable[[Entry, Catalogue], None] = lambda entry, gallery: None,
    ) -> None:
        self.folder, self.read_only, self._clock, self._parting = folder, read_only, clock, parting
        self._saving = threading.Lock()
        self._lock = None if read_only else WriterLock(folder / "studio.lock")
        self.reserve = Reserve(folder / "reserve.bin", reserve_bytes)
        self._journal = marks.Journal(folder / "marks.jsonl")
        with ExitStack() as opening:
            opening.callback(self.close)  # the lock, if anything goes wrong on the way
            if not read_only:
                atomic.make_folder(folder / "pictures")
            self.index = index.Index(folder / "index.sqlite", read_only=read_only)
            if not read_only:
                self._recover()
                self.reserve.fill()
            opening.pop_all()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the index and let the next writer in."""
        if hasattr(self, "index"):
            self.index.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def save(
        self,
        image: Image.Image,
        *,
        request: Request | None,
        seed: int | None,
        facts: dict[str, Any],
        job_id: str,
        owner: str,
        parents: Iterable[str | Parent] = (),
    ) -> Entry:
        """Store one picture with its recipe; when this returns, it is on the disk.

        Args:
            image: RGB, RGBA or L.
            request: What made it, or None for a picture of unknown origin.
            seed: The seed that makes this very picture.
            facts: Model id and checksum, device, dtype, library versions; paths are cut to their last part.
            job_id: The job that made it.
            owner: Whose it is: a session. Only a one-way key of it is stored.
            parents: Ids or hashes it was made from, beside those that `request` names.

        Raises:
            GalleryError: The disk is full or cannot be written, or the gallery is read-only; nothing is left behind.
        """
        self._must_write()
        with self.index.reading() as db:
            run = lineage.run_behind(db, self.folder, request)
        with self._saving:
            sequence = self._next_sequence()
            recipe = Recipe(
                id=new_id(sequence),
                created_us=int(self._clock() * 1e6),
                settings=settings_of(request),
                seed=seed,
                facts=shareable(facts),
                job=encodable(job_id),
                owner=owner_key(owner),
                parents=parents_of(request, (*run, *parents)),
            )
            text = "" if request is None else a1111_parameters(request, seed, {**facts, "size": image.size})
            return self._store(image, recipe, parameters=text)

    def adopt(self, image: Image.Image, recipe: Recipe) -> Entry:
        """Store an imported picture under its recipe; its id is kept when it is free and not from the future."""
        self._must_write()
        with self._saving:
            if not is_id(recipe.id) or sequence_of(recipe.id) > self._next_sequence() or self._is_taken(recipe.id):
                recipe = replace(recipe, id=new_id(self._next_sequence()))
            now = int(self._clock() * 1e6)
            recipe = replace(recipe, created_us=min(recipe.created_us or now, now))
            return self._store(image, recipe, parameters="")

    def star(self, ids: Iterable[str], on: bool = True, *, owner: str | None = None) -> None:
        """Star pictures, or take their star."""
        with self._marking(ids, owner) as (db, sequences):
            marks.star(db, sequences, on)

    def note(self, entry_id: str, text: str, *, owner: str | None = None) -> None:
        """Set a picture's note, up to 4,000 characters."""
        with self._marking([entry_id], owner) as (db, sequences):
            marks.note(db, sequences[0], text)

    def collect(self, ids: Iterable[str], name: str, *, owner: str | None = None) -> None:
        """Put pictures into a collection, which is made when it is new; any name of 1 to 120 characters."""
        name = marks.collection_name(name)
        with self._marking(ids, owner) as (db, sequences):
            marks.collect(db, sequences, name)

    def uncollect(self, ids: Iterable[str], name: str, *, owner: str | None = None) -> None:
        """Take pictures out of a collection; an empty collection is gone."""
        with self._marking(ids, owner) as (db, sequences):
            marks.uncollect(db, sequences, marks.collection_name(name))

    def trash(self, ids: Iterable[str], *, owner: str | None = None) -> None:
        """Put pictures into the trash; `restore` takes them out, `empty_trash` deletes them after the retention."""
        with self._marking(ids, owner) as (db, sequences):
            marks.trash(db, sequences, marks.trash_clock(db, int(self._clock() * 1e6)))

    def restore(self, ids: Iterable[str], *, owner: str | None = None) -> None:
        """Take pictures out of the trash."""
        with self._marking(ids, owner) as (db, sequences):
            marks.trash(db, sequences, None)

    def empty_trash(self, *, older_than_days: float = RETENTION_DAYS, owner: str | None = None) -> int:
        """Delete what has been in the trash for `older_than_days`, for good; return how many.

        Days count only while the studio is used, at most one per call and none for a clock that jumps: call
        it once at start and once a day. 0 empties the trash now.
        """
        self._must_write()
        with self._making_room(), self.index.writing() as db:
            limit = marks.trash_clock(db, int(self._clock() * 1e6)) - int(older_than_days * marks.DAY_US)
            rows = db.execute(
                "SELECT id FROM entries WHERE trashed_us <= ?1 AND (?2 IS NULL OR owner = ?2)",
                (limit, key_of(owner)),
            ).fetchall()
        for (entry_id,) in rows:
            self._parting(self.get(entry_id), self)
            self._delete(entry_id)
        self.reserve.fill()
        return len(rows)

    def doctor(self, fix: bool = False, *, inputs: PictureStore | None = None) -> Report:
        """Check that index and files agree, and mend them when `fix`; see `doctor.examine`."""
        if fix:
            self._must_write()
        return examine(self, fix=fix, inputs=inputs)

    def forget(self, ids: Iterable[str]) -> None:
        """Delete rows whose file is gone; the doctor's."""
        with self.index.writing() as db:
            for entry_id in ids:
                index.forget(db, entry_id)

    def rewrite(self, entry: Entry) -> None:
        """Let a row take over the hashes and size of its file as it is now; the doctor's."""
        with self.index.writing() as db:
            db.execute(
                "UPDATE entries SET sha256 = ?, file_sha256 = ?, bytes = ? WHERE id = ?",
                (entry.sha256, entry.file_sha256, entry.bytes, entry.id),
            )

    def _store(self, image: Image.Image, recipe: Recipe, *, parameters: str) -> Entry:
        """Write the file, then the row; on any failure neither is there."""
        image = canonical(image)
        png = encode_png(image, texts_of(recipe, parameters))
        admit(self.folder, len(png))
        entry = describe(self.folder, recipe.id, recipe, image=image, png=png)
        with ExitStack() as saving:
            saving.callback(_take_back, entry.path)  # a file without a row would come back as a ghost
            atomic.write_atomically(entry.path, png)
            with self.index.writing() as db:
                index.insert(db, entry)
            saving.pop_all()
        try:
            write_thumbnail(self.folder, entry.id, image)
        except GalleryError as error:
            logger.warning("thumbnail of %s: %s", entry.id, error)  # it is made again when somebody looks
        return entry

    def _delete(self, entry_id: str) -> None:
        """Rename the file, delete the row, then the file: a crash in between ends in a deletion, never in a ghost."""
        path = picture_path(self.folder, entry_id)
        doomed = path.with_suffix(DELETED)
        with suppress(FileNotFoundError):
            atomic.replace(path, doomed)
        with self.index.writing() as db:
            index.forget(db, entry_id)
        doomed.unlink(missing_ok=True)
        thumbnail_path(self.folder, entry_id).unlink(missing_ok=True)

    def _recover(self) -> None:
        """Finish what a crash interrupted: the last save (a file newer than every row) and deletions."""
        with self.index.writing() as db:
            newest = db.execute("SELECT id FROM entries ORDER BY sequence DESC LIMIT 1").fetchone()
            last = newest[0] if newest else ""
        lost = [entry_id for entry_id in picture_ids(self.folder, from_shard=shard(last)) if entry_id > last]
        self.take_in(lost)
        for doomed in (self.folder / "pictures").glob(f"*/*{DELETED}"):
            if is_id(doomed.stem):
                self._delete(doomed.stem)

    def take_in(self, ids: Iterable[str]) -> list[str]:
        """Give rows, and the marks the journal knows, to picture files without one; return the damaged ones."""
        known, bad = self._journal.read(), []
        for entry_id in ids:
            try:
                entry = entry_from_file(self.folder, entry_id)
            except GalleryError:
                bad.append(entry_id)
                continue
            with self._saving, self.index.writing() as db:
                if db.execute("SELECT 1 FROM entries WHERE sequence = ?", (entry.sequence,)).fetchone():
                    continue  # its save was under way and has ended
                index.insert(db, entry)
                if entry_id in known:
                    self._journal.apply(db, known[entry_id], entry.sequence)
        return bad

    def _next_sequence(self) -> int:
        """Microseconds of the clock, or one more than ever given where the clock is behind."""
        with self.index.reading() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
        return max(int(self._clock() * 1e6), (row[0] if row else 0) + 1)

    def _is_taken(self, entry_id: str) -> bool:
        with self.index.reading() as db:
            taken = db.execute("SELECT 1 FROM entries WHERE sequence = ?", (sequence_of(entry_id),)).fetchone()
        return taken is not None or picture_path(self.folder, entry_id).exists()

    @contextmanager
    def _marking(self, ids: Iterable[str], owner: str | None) -> Iterator[tuple[sqlite3.Connection, Sequence[int]]]:
        """Change marks of `owner`'s pictures in one transaction, then write them into the journal."""
        self._must_write()
        wanted = unique(ids)
        with self._making_room():
            with self.index.writing() as db:
                sequences = self.sequences(db, wanted, owner)
                yield db, sequences
            with self.index.reading() as db:
                self._journal.append(db, sequences)

    @contextmanager
    def _making_room(self) -> Iterator[None]:
        """Drop the reserve when the disk is nearly full, so that deleting and marking always work."""
        if free_bytes(self.folder) < SPARE_BYTES:
            self.reserve.release()
        try:
            yield
        except OSError as error:
            raise atomic.disk_error(error, self.folder) from error

    def _must_write(self) -> None:
        if self.read_only:
            raise GalleryError("The gallery is open read-only.", "Close the other studio to change it.")


def texts_of(recipe: Recipe, parameters: str) -> dict[str, str]:
    """Return the text chunks of a picture's file."""
    texts = {TEXT_KEY: recipe.to_json(), XMP_KEY: xmp(recipe.settings), "Software": SOFTWARE}
    return {"parameters": parameters, **texts} if parameters else texts


def _take_back(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
