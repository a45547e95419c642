"""The check-up finds what is wrong both ways, mends it, and rebuilds a lost index from the files."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gallery_making import noise, save

from studio.errors import GalleryError
from studio.gallery import Gallery
from studio.gallery.doctor import set_aside
from studio.gallery.entry import new_id, picture_path
from studio.gallery.index import DamagedIndex
from studio.gallery.png import encode_png
from studio.pictures import PictureStore
from studio.requests import Inpaint


def kinds(gallery: Gallery, *, fix: bool = False) -> list[str]:
    return sorted(problem.kind for problem in gallery.doctor(fix).problems)


def test_healthy_gallery_has_no_problems(gallery: Gallery) -> None:
    save(gallery, 1)
    report = gallery.doctor()
    assert report.is_healthy and report.problems == () and report.pictures == 1


def test_each_kind_of_damage_is_found_named_and_mended(gallery: Gallery) -> None:
    entries = [save(gallery, n) for n in range(6)]
    whole, missing, torn, edited, plain, dark = entries
    missing.path.unlink()
    torn.path.write_bytes(torn.path.read_bytes()[:300])
    edited.path.write_bytes(encode_png(noise(77), {}))
    gallery.thumbnail(plain.id).unlink()
    with gallery.index.writing() as db:
        db.execute("DELETE FROM words WHERE rowid = ?", (dark.sequence,))
        db.execute("DELETE FROM entries WHERE id = ?", (dark.id,))
    part = gallery.folder / "pictures" / ".x.png.0000.part"
    part.write_bytes(b"half")
    os.utime(part, (time.time() - 3600,) * 2)
    wanted = [
        *("changed file", "damaged file", "file without row"),
        *("missing thumbnail", "row without file", "unfinished file"),
    ]
    assert kinds(gallery) == wanted
    assert kinds(gallery) == wanted, "looking must not change anything"
    assert kinds(gallery, fix=True) == wanted
    assert kinds(gallery) == []
    assert {e.id for e in gallery.each()} == {whole.id, edited.id, plain.id, dark.id}
    assert gallery.get(dark.id).recipe == dark.recipe
    assert gallery.get(edited.id).request == edited.request
    assert (gallery.folder / "damaged" / f"{torn.id}.png").exists()
    lost = (gallery.folder / "lost.jsonl").read_text()
    assert missing.id in lost and torn.id in lost and '"prompt": "picture 1"' in lost


def test_whole_index_is_rebuilt_from_the_files(folder: Path, reopen: Callable[..., Gallery]) -> None:
    """Also lineage, search and the order come back, and a picture of unknown origin is taken in."""
    gallery = reopen()
    entries = [save(gallery, n, prompt=f"苹果 number {n}", owner=f"owner {n % 2}") for n in range(8)]
    inpaint = Inpaint(prompt="a hat", source=entries[0].sha256, mask="1" * 64, seed=1)
    child = gallery.save(noise(50), request=inpaint, seed=1, facts={}, job_id="c" * 16, owner="owner 0")
    before = list(gallery.each())
    gallery.close()
    stranger = picture_path(folder, new_id(int(time.time() * 1e6)))
    stranger.parent.mkdir(parents=True, exist_ok=True)
    stranger.write_bytes(encode_png(noise(99), {}))
    for path in folder.glob("index.sqlite*"):
        path.unlink()
    again = reopen()
    assert [e for e in again.each() if e.id != stranger.stem] == before
    assert again.get(stranger.stem).kind == "imported"
    assert [link.entry and link.entry.id for link in again.parents(child.id)] == [entries[0].id, None]
    assert again.count(owner="owner 1") == 4
    again.thumbnail(stranger.stem)
    assert again.doctor().is_healthy


def test_damaged_index_is_named_and_set_aside(folder: Path, reopen: Callable[..., Gallery]) -> None:
    gallery = reopen()
    entries = [save(gallery, n) for n in range(3)]
    gallery.close()
    (folder / "index.sqlite").write_bytes(b"SQLite format 3\0" + b"garbage" * 5000)
    with pytest.raises(DamagedIndex, match="The gallery's index is damaged; the pictures are not"):
        reopen()
    aside = set_aside(folder)
    assert aside.exists()
    assert {e.id for e in reopen().each()} == {e.id for e in entries}


def test_database_of_another_program_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "index.sqlite") as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = (folder / "index.sqlite").read_bytes()
    with pytest.raises(GalleryError, match="is not a gallery's index"):
        Gallery(folder, reserve_bytes=0)
    assert (folder / "index.sqlite").read_bytes() == before


def test_inputs_that_a_recipe_names_are_kept(gallery: Gallery, tmp_path: Path) -> None:
    inputs = PictureStore(tmp_path / "inputs")
    source, mask, unused = (inputs.put(noise(n)) for n in (1, 2, 3))
    request = Inpaint(prompt="a hat", source=source, mask=mask, seed=1)
    gallery.save(noise(4), request=request, seed=1, facts={}, job_id="", owner="anna")
    for path in (tmp_path / "inputs").rglob("*.png"):
        os.utime(path, (time.time() - 40 * 86400,) * 2)
    report = gallery.doctor(fix=True, inputs=inputs)
    assert [(p.kind, p.what) for p in report.problems] == [("unused input", unused)]
    assert set(inputs) == {source, mask}
