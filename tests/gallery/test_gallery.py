"""Pictures saved, found, marked, thrown away and brought back."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import pytest
from gallery_making import Clock, noise, save
from PIL import Image

from studio.bench.gallery import fill
from studio.errors import GalleryError
from studio.events import Finished
from studio.gallery import Filters, Gallery, recorder
from studio.gallery.entry import new_id, sequence_of
from studio.gallery.recipe import Parent, parents_of
from studio.jobs import Job
from studio.pictures import picture_hash
from studio.requests import ControlUse, Fork, Inpaint, TextToImage
from tests.promises import count


def test_saved_picture_is_given_back_with_its_pixels_and_its_request(gallery: Gallery) -> None:
    request = TextToImage(prompt="a red apple", negative_prompt="pear", seed=7, batch=2)
    image = noise(1, (32, 24))
    saved = gallery.save(image, request=request, seed=8, facts={"model": "tiny"}, job_id="ab" * 8, owner="anna")
    entry = gallery.get(saved.id)
    assert entry == saved
    assert gallery.open(entry.id).tobytes() == image.tobytes()
    assert entry.request == request
    assert entry.recipe.single == request.with_changes(seed=8, batch=1)
    assert (entry.width, entry.height, entry.sha256) == (32, 24, picture_hash(image))


def test_file_carries_recipe_parameters_and_the_mark_of_its_origin(gallery: Gallery) -> None:
    entry = save(gallery, 5, prompt="a red apple")
    with Image.open(entry.path) as opened:
        texts = opened.info
    assert json.loads(texts["tessera"])["settings"]["prompt"] == "a red apple"
    assert texts["parameters"].startswith(
        "a red apple\nSteps: 20, Sampler: DPM++ 2M, CFG scale: 4, Seed: 5, Size: 16x16"
    )
    assert "digitalsourcetype/trainedAlgorithmicMedia" in texts["XML:com.adobe.xmp"]


def test_picture_made_from_a_picture_is_marked_as_composite(gallery: Gallery) -> None:
    source = picture_hash(noise(3))
    request = Inpaint(prompt="a hat", source=source, mask=source, seed=1)
    entry = gallery.save(noise(4), request=request, seed=1, facts={}, job_id="", owner="anna")
    with Image.open(entry.path) as opened:
        assert "compositeWithTrainedAlgorithmicMedia" in opened.info["XML:com.adobe.xmp"]


def test_files_hold_no_session_secret_and_no_path(gallery: Gallery) -> None:
    facts = {"model": "tiny", "folder": "/home/anna/models/tiny", "cache": ["C:\\Users\\anna\\x", "~/y"]}
    request = TextToImage(prompt="/imagine a cat", seed=1, model="/home/anna/models/tiny")
    entry = gallery.save(noise(), request=request, seed=1, facts=facts, job_id="", owner="secret-cookie-of-anna")
    everything = b"".join(p.read_bytes() for p in gallery.folder.rglob("*") if p.is_file())
    for secret in (b"secret-cookie", b"home/anna", b"Users"):
        assert secret not in everything
    assert entry.prompt == "/imagine a cat"
    assert entry.recipe.facts == {"model": "tiny", "folder": "tiny", "cache": ["x", "y"]}


def test_pages_run_newest_first_and_end(gallery: Gallery) -> None:
    ids = [save(gallery, number).id for number in range(7)][::-1]
    first = gallery.page(limit=3)
    second = gallery.page(first.next, limit=3)
    third = gallery.page(second.next, limit=3)
    assert [e.id for page in (first, second, third) for e in page.entries] == ids
    assert third.next is None
    assert [e.id for e in gallery.each()] == ids


def test_every_picture_is_seen_once_while_others_arrive(gallery: Gallery, figure: Callable[..., None]) -> None:
    """Promise R14: paging while others save shows each picture that was there once, and none twice."""
    rows, saves, limit = count(600, 100_000), count(30, 1000), 50
    fill(gallery, rows)
    seen: list[str] = []
    cursor, saved, took = None, 0, list[float]()
    while True:
        began = time.perf_counter()
        page = gallery.page(cursor, limit=limit)
        took.append(1000 * (time.perf_counter() - began))
        seen += [entry.id for entry in page.entries]
        while saved < saves and saved * rows < saves * len(seen):
            saved += 1
            save(gallery, saved)
        if (cursor := page.next) is None:
            break
    figure(
        pictures=rows,
        saved_meanwhile=saved,
        seen_twice=len(seen) - len(set(seen)),
        page_p95_ms=quantiles(took, n=20)[-1],
    )
    assert len(seen) == len(set(seen)) == rows
    assert saved == saves


def test_one_session_sees_and_changes_nothing_of_another(gallery: Gallery) -> None:
    """Foreign, missing and malformed ids give one and the same answer."""
    own, foreign = save(gallery, 1, owner="anna"), save(gallery, 2, owner="bert")
    calls: list[Callable[[str], object]] = [
        lambda i: gallery.get(i, owner="anna"),
        lambda i: gallery.path(i, owner="anna"),
        lambda i: gallery.open(i, owner="anna"),
        lambda i: gallery.thumbnail(i, owner="anna"),
        lambda i: gallery.neighbours(i, owner="anna"),
        lambda i: gallery.parents(i, owner="anna"),
        lambda i: gallery.children(i, owner="anna"),
        lambda i: gallery.tree(i, owner="anna"),
        lambda i: gallery.star([own.id, i], owner="anna"),
        lambda i: gallery.note(i, "x", owner="anna"),
        lambda i: gallery.collect([i], "x", owner="anna"),
        lambda i: gallery.uncollect([i], "x", owner="anna"),
        lambda i: gallery.trash([i], owner="anna"),
        lambda i: gallery.restore([i], owner="anna"),
    ]
    for call in calls:
        for entry_id in (foreign.id, new_id(5), "../../etc/passwd", ""):
            with pytest.raises(GalleryError, match=r"There is no such picture\."):
                call(entry_id)
    assert not gallery.get(own.id).starred
    assert [e.id for e in gallery.each(owner="anna")] == [own.id]
    assert gallery.count(owner="carl") == gallery.count(owner="") == 0
    assert gallery.count(Filters(text="picture"), owner="bert") == 1
    assert gallery.facets(owner="carl")["models"] == []


def test_filters_choose_by_model_tab_date_size_star_and_collection(folder: Path) -> None:
    clock = Clock()
    with Gallery(folder, clock=clock, reserve_bytes=0) as gallery:
        first = save(gallery, 1, model="a", width=64)
        clock.seconds += 86400
        second = save(gallery, 2, model="b")
        gallery.star([first.id])
        gallery.collect([second.id], "best")
        day = datetime.fromtimestamp(clock.seconds, UTC) - timedelta(hours=1)
        for filters, wanted in {
            Filters(models=("a",)): [first],
            Filters(models=("a", "b")): [second, first],
            Filters(kinds=("inpaint",)): [],
            Filters(created_from=day): [second],
            Filters(created_to=day): [first],
            Filters(sizes=((4, 16),)): [first],
            Filters(starred=True): [first],
            Filters(starred=False): [second],
            Filters(collection="best"): [second],
            Filters(text="picture", models=("b",)): [second],
            Filters(text="best"): [second],
        }.items():
            found = gallery.page(filters=filters).entries
            assert [e.id for e in found] == [e.id for e in wanted], filters
            assert gallery.count(filters) == len(wanted)


def test_neighbours_follow_the_page_that_is_shown(gallery: Gallery) -> None:
    entries = [save(gallery, number, model="ab"[number % 2]) for number in range(5)]
    newer, older = gallery.neighbours(entries[2].id, Filters(models=("a",)))
    assert (newer and newer.id, older and older.id) == (entries[4].id, entries[0].id)
    assert gallery.neighbours(entries[4].id)[0] is None


def test_marks_outlive_the_index(folder: Path, reopen: Callable[..., Gallery]) -> None:
    """Stars, notes, collections and the trash come back when the index is made anew from the files."""
    gallery = reopen()
    entries = [save(gallery, number) for number in range(4)]
    gallery.star([entries[0].id])
    gallery.note(entries[1].id, "keep the 帽子")
    gallery.collect([entries[1].id, entries[2].id], "hats")
    gallery.trash([entries[3].id])
    before = [gallery.get(e.id) for e in entries]
    gallery.close()
    for path in folder.glob("index.sqlite*"):
        path.unlink()
    with (folder / "marks.jsonl").open("ab") as file:
        file.write(b'{"id": "torn')
    again = reopen()
    assert [again.get(e.id) for e in entries] == before
    assert again.page(filters=Filters(text="帽子")).entries[0].id == entries[1].id
    again.star([entries[2].id])
    assert again.get(entries[2].id).starred


def test_trash_is_undone_and_emptied_after_the_retention(folder: Path) -> None:
    clock = Clock()
    with Gallery(folder, clock=clock, reserve_bytes=0) as gallery:
        kept, gone = save(gallery, 1), save(gallery, 2)
        gallery.trash([kept.id, gone.id])
        assert gallery.count() == 0
        gallery.restore([kept.id])
        assert [e.id for e in gallery.each()] == [kept.id]
        for _ in range(3):
            clock.seconds += 86400
            assert gallery.empty_trash(older_than_days=4) == 0
        clock.seconds += 86400
        assert gallery.empty_trash(older_than_days=4) == 1
        assert not gone.path.exists()
        assert not list(folder.glob("thumbnails/*/" + gone.id + "*"))
        assert gallery.count(Filters(trashed=True)) == 0


@pytest.mark.parametrize("jump", [-3600, -50 * 365 * 86400, 12 * 365 * 86400, 80 * 365 * 86400])
def test_clock_jumps_change_no_order_and_delete_nothing_early(
    folder: Path, jump: float, figure: Callable[..., None]
) -> None:
    """Promise R12: an hour back, 1970, past 2038, 2099, also across restarts."""
    clock, ids = Clock(), list[str]()
    for seconds in (0.0, jump, 0.0, 10.0):
        clock.seconds = max(Clock().seconds + seconds, 0)
        with Gallery(folder, clock=clock, reserve_bytes=0) as gallery:
            ids += [save(gallery, len(ids)).id for _ in range(3)]
            gallery.trash([ids[-1]])
            assert gallery.empty_trash(older_than_days=2) == 0
            assert [e.id for e in gallery.each()] + [] == [i for i in sorted(ids, reverse=True) if i not in ids[2::3]]
    figure(clock_jumps=1, orders_changed=0)
    assert ids == sorted(ids)


def test_lineage_follows_pixels_across_tabs(gallery: Gallery) -> None:
    source = save(gallery, 1)
    upload = picture_hash(noise(99, mode="L"))
    inpaint = Inpaint(prompt="a hat", source=source.sha256, mask=upload, seed=1)
    child = gallery.save(noise(2), request=inpaint, seed=1, facts={}, job_id="c" * 16, owner="anna")
    grandchild = gallery.save(
        noise(3),
        request=inpaint.with_changes(source=child.sha256),
        seed=1,
        facts={},
        job_id="d" * 16,
        owner="anna",
        parents=[source.id],
    )
    links = gallery.parents(child.id)
    assert [(link.role, link.entry and link.entry.id) for link in links] == [("source", source.id), ("mask", None)]
    assert [e.id for e in gallery.children(source.id)] == [grandchild.id, child.id]
    tree = gallery.tree(grandchild.id)
    assert list(tree.entries) == [source.id, child.id, grandchild.id]
    assert set(tree.edges) == {
        (source.id, child.id, "source"),
        (child.id, grandchild.id, "source"),
        (source.id, grandchild.id, "picture"),
    }
    assert gallery.children(child.id, owner="anna")
    stranger = save(gallery, 1, owner="bert")
    assert gallery.children(stranger.id, owner="bert") == []


def test_recorder_stores_each_picture_before_it_is_announced(gallery: Gallery) -> None:
    job = Job(TextToImage(prompt="two", seed=5, batch=2), owner="anna", withdraw=lambda _: False)
    finished = Finished((noise(1), noise(2)), (5, 6), 1.25, facts={"model": "tiny"})
    recorded = recorder(gallery)(job, finished)
    entries = gallery.entries(recorded.records, owner="anna")
    assert [e.seed for e in entries] == [5, 6]
    assert replace(recorded, records=()) == finished
    assert entries[0].recipe.facts["seconds"] == 1.25
    assert entries[0].job == job.id


def test_recorder_announces_only_what_was_saved(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    saves = iter([gallery.save])

    def save_once(*args: object, **options: object) -> object:
        try:
            return next(saves)(*args, **options)  # type: ignore[arg-type]
        except StopIteration:
            raise GalleryError("Only 3 MB left; image not saved.") from None

    monkeypatch.setattr(gallery, "save", save_once)
    job = Job(TextToImage(prompt="two", seed=5, batch=2), owner="anna", withdraw=lambda _: False)
    finished = Finished((noise(1), noise(2)), (5, 6), 1.0)
    recorded = recorder(gallery)(job, finished)
    assert len(recorded.images) == len(recorded.seeds) == len(recorded.records) == 1
    assert "1 of 2 pictures were not saved: Only 3 MB left" in recorded.notes[0]
    with pytest.raises(GalleryError):
        recorder(gallery)(job, finished)


def test_index_is_set_up_to_last(gallery: Gallery) -> None:
    with gallery.index.writing() as db:
        pragma = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
    with gallery.index.reading() as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM entries")
    assert (gallery.folder / "index.sqlite").stat().st_mode & 0o777 == 0o600


def test_ids_sort_by_time_and_give_it_back() -> None:
    assert new_id(10) < new_id(11) < new_id(32**9)
    assert sequence_of(new_id(1_790_000_000_123_456)) == 1_790_000_000_123_456


def test_a_fork_knows_the_picture_of_the_run_it_goes_on_from(gallery: Gallery) -> None:
    other, run = save(gallery, 3, prompt="a fox", steps=9), save(gallery, 3, prompt="a fox")
    recipe = {**run.request.model_dump(mode="json"), "seed": 3, "batch": 1}
    fork = Fork(prompt="a fox in the snow", parent=recipe, step=4, seed=3)
    entry = gallery.save(noise(9), request=fork, seed=3, facts={}, job_id="f" * 16, owner="anna")
    assert [(link.role, link.entry and link.entry.id) for link in gallery.parents(entry.id)] == [("run", run.id)]
    assert [it.id for it in gallery.children(run.id)] == [entry.id] and gallery.children(other.id) == []


def test_every_control_picture_is_among_what_a_picture_was_made_from() -> None:
    """Also those of the run that was forked, whose recipe is plain JSON."""
    one, two = "a" * 64, "b" * 64
    run = TextToImage(prompt="a", control=one, more_controls=(ControlUse(picture=two),))
    wanted = (Parent("control", one), Parent("control", two))
    assert parents_of(run) == wanted
    assert parents_of(Fork(parent=run.model_dump(mode="json"), step=1)) == wanted
