"""Kept films by gallery picture: what was seen while it was made is seen again, until the picture is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from studio.engine import film_files
from studio.engine.engine import Engine
from studio.engine.film_files import FilmFiles
from studio.engine.trajectories import Trajectory
from studio.errors import GalleryError
from studio.events import Film, Finished
from studio.film.shelf import FilmShelf
from studio.gallery import Entry, Gallery
from studio.requests import KeepFilm, TextToImage
from tests.engine.run import finished, small


@pytest.fixture
def shelf(engine: Engine) -> FilmShelf:
    """The shelf as a studio finds it that was started anew."""
    return FilmShelf(engine.settings.films_dir)


@pytest.fixture
def gallery(tmp_path: Path, shelf: FilmShelf) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery", reserve_bytes=0, parting=shelf.part) as opened:
        yield opened


def saved(gallery: Gallery, request: TextToImage, whole: Finished, place: int = 0) -> Entry:
    facts, seed = whole.facts_of(place), whole.seeds[place]
    return gallery.save(whole.images[place], request=request, seed=seed, facts=facts, job_id="", owner="")


def keep(engine: Engine, entry: Entry) -> None:
    finished(engine, KeepFilm(parent=entry.recipe.single.model_dump(mode="json")))


def assert_same(film: Film | None, other: Film) -> None:
    assert film is not None
    np.testing.assert_array_equal(np.asarray(film.frames), np.asarray(other.frames))
    np.testing.assert_array_equal(film.settled, other.settled)
    assert (film.count, film.moving, film.enough) == (other.count, other.moving, other.enough)


@pytest.mark.parametrize("model", ["ldm", "sd1"])
def test_a_kept_film_is_the_one_that_was_seen_and_goes_with_its_picture(
    engine: Engine, shelf: FilmShelf, gallery: Gallery, model: str
) -> None:
    request = small(model=model, steps=5, seed=30)
    whole = finished(engine, request)
    entry = saved(gallery, request, whole)
    assert not shelf.has(entry) and shelf.film(entry) is None
    before, _ = shelf.room()
    keep(engine, entry)
    assert shelf.has(entry)
    assert_same(shelf.film(entry), whole.extras["films"][0])
    count, taken = shelf.room()
    assert count == before + 1 and taken > 0
    gallery.trash([entry.id])
    gallery.empty_trash()
    assert shelf.has(entry), "from the trash it can be put back"
    gallery.empty_trash(older_than_days=0)
    assert not shelf.has(entry) and shelf.room()[0] == before


def test_each_picture_of_a_batch_has_its_own_film(engine: Engine, shelf: FilmShelf, gallery: Gallery) -> None:
    request = small(model="ldm", steps=4, seed=40, batch=2)
    whole = finished(engine, request)
    entries = [saved(gallery, request, whole, place) for place in range(2)]
    keep(engine, entries[1])
    assert not shelf.has(entries[0])
    assert_same(shelf.film(entries[1]), whole.extras["films"][1])


def test_a_film_stays_while_another_picture_has_it(engine: Engine, shelf: FilmShelf, gallery: Gallery) -> None:
    request = small(model="ldm", steps=4, seed=50)
    whole = finished(engine, request)
    first, second = (saved(gallery, request, whole) for _ in range(2))
    saved(gallery, request.with_changes(steps=3), whole)  # alike, but another run
    keep(engine, first)
    gallery.trash([first.id])
    gallery.empty_trash(older_than_days=0)
    assert shelf.has(second)
    gallery.trash([second.id])
    gallery.empty_trash(older_than_days=0)
    assert not shelf.has(second)


def test_a_film_that_was_kept_without_its_strip_gets_one_when_it_is_kept_again(
    engine: Engine, shelf: FilmShelf, gallery: Gallery
) -> None:
    request = small(model="ldm", steps=4, seed=60)
    whole = finished(engine, request)
    entry = saved(gallery, request, whole)
    keep(engine, entry)
    path = engine.films.find(request, whole.facts["checksum"])
    assert path is not None
    with safe_open(path, framework="numpy") as file:
        said = {name: value for name, value in file.metadata().items() if name != "enough"}
        arrays = {name: file.get_tensor(name) for name in ("outputs", "latents", "clean")}
    path.unlink()
    save_file(arrays, path.with_name("an_older_name.safetensors"), said)
    engine.trajectories.clear()
    assert shelf.has(entry) and shelf.film(entry) is None
    count, _ = shelf.room()
    keep(engine, entry)
    assert_same(shelf.film(entry), whole.extras["films"][0])
    assert shelf.room()[0] == count, "the file of then is gone"


def test_no_film_is_kept_on_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FilmFiles(tmp_path / "films")
    strip = Film(Image.new("RGB", (4, 2)), 2, np.ones((2, 2), np.uint8), (1.0, 0.5), 2)
    steps = (np.zeros((1, 4, 2, 2), np.float32),) * 2
    monkeypatch.setattr(film_files, "SPARE_BYTES", 2**60)
    with pytest.raises(GalleryError, match="MB left; film not kept"):
        files.save(small(), "sum", Trajectory(steps, steps, steps), strip)
    assert files.room() == (0, 0)
