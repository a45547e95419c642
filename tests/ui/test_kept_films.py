"""Films of gallery pictures on the page: who is shown them, what a stage is told, and what room they take."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_engine import FakeEngine
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from studio_page import CARD

from studio.engine.film_files import FilmFiles
from studio.engine.trajectories import Trajectory
from studio.events import Film, Finished
from studio.gallery import Entry, Gallery, recorder
from studio.jobs import JobRunner
from studio.pictures import PictureStore
from studio.requests import Fork, Inpaint, Request, TextToImage
from studio.settings import Settings
from studio.ui.film_page.films import Films
from studio.ui.film_page.opening import opened_value
from studio.ui.film_page.routes import film_routes
from studio.ui.gallery_page.routes import gallery_routes
from studio.ui.session import SessionMiddleware, Sessions
from studio.ui.studio import Studio

RUN = TextToImage(prompt="a red apple", seed=3, steps=3, width=64, height=64)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    settings = Settings(data_dir=tmp_path)
    engine = FakeEngine(step_seconds=0)
    with Gallery(settings.gallery_dir, reserve_bytes=0) as gallery, JobRunner(engine.run, recorder(gallery)) as runner:
        yield Studio(runner, gallery, PictureStore(tmp_path / "pictures"), settings, models=lambda: [CARD])


def saved(studio: Studio, request: Request, *, owner: str = "A") -> Entry:
    facts, image = {"checksum": "sum", "seconds": 1.26}, Image.new("RGB", (64, 64), "red")
    entry: Entry = studio.gallery.save(image, request=request, seed=3, facts=facts, job_id="", owner=owner)
    return entry


def keep(studio: Studio, entry: Entry) -> Film:
    """Keep a film of three grey frames for `entry`."""
    strip = np.repeat(np.array([0, 120, 240], np.uint8), 8)[None, :, None].repeat(8, 0).repeat(3, 2)  # (8, 24, 3)
    film = Film(Image.fromarray(strip), 3, np.array([[1, 2], [2, 3]], np.uint8), (1.0, 0.5, 0.25), 3)
    steps = (np.zeros((1, 4, 2, 2), np.float32),) * 3
    FilmFiles(studio.settings.films_dir).save(entry.recipe.single, "sum", Trajectory(steps, steps, steps), film)
    return film


def visitor(studio: Studio) -> TestClient:
    sessions, app = Sessions(b"0" * 32), FastAPI()
    for routes in (film_routes(studio, sessions), *gallery_routes(studio, sessions)):
        app.include_router(routes)
    app.add_middleware(SessionMiddleware, sessions=sessions)
    return TestClient(app)


def test_a_kept_film_is_shown_to_the_owner_and_to_nobody_else(studio: Studio) -> None:
    entry = saved(studio, RUN)
    owners, others = replace(studio, sees=lambda _: None), studio
    guests = replace(owners, for_guests=True)
    with visitor(owners) as owner, visitor(others) as other, visitor(guests) as guest:
        card, film = f"/studio/gallery/pictures/{entry.id}", f"/studio/films/{entry.id}.webp"
        assert owner.get(card).json()["film"] == "" and owner.get(film).status_code == 404
        assert owner.get("/studio/gallery/facets").json()["films"] == {"count": 0, "bytes": 0}
        frames = np.asarray(keep(studio, entry).frames).astype(int)
        assert owner.get(card).json()["film"] == "create"
        shown = Image.open(io.BytesIO(owner.get(film).content), formats=["webp"])
        assert np.abs(np.asarray(shown.convert("RGB")).astype(int) - frames).max() < 16
        room = owner.get("/studio/gallery/facets").json()["films"]
        assert room["count"] == 1 and room["bytes"] > 24 * 8 * 3
        assert other.get(film).status_code == guest.get(film).status_code == 404
        assert guest.get(card).json()["film"] == ""
        assert other.get("/studio/gallery/facets").json()["films"]["count"] == 0


def test_a_film_is_opened_where_its_picture_was_made(studio: Studio) -> None:
    source = studio.pictures.put(Image.new("RGB", (64, 64)))
    painted = Inpaint(prompt="a pear", source=source, seed=3)
    forked = Fork(parent=painted.model_dump(mode="json"), step=1, seed=3, source=source)
    films = Films(studio)
    for request in (painted, forked):
        entry = saved(studio, request)
        keep(studio, entry)
        assert films.tab(entry, "A") == "inpaint"


def test_a_film_in_memory_is_opened_by_whoever_made_it(studio: Studio) -> None:
    film = Film(Image.new("RGB", (24, 8)), 3, np.ones((2, 2), np.uint8), (1.0, 0.0, 0.0), 1)

    def run(request: Request, should_stop: object) -> Iterator[Finished]:
        yield Finished((Image.new("RGB", (8, 8)),), (3,), 0.1, extras={"films": (film,)})

    with JobRunner(run, recorder(studio.gallery)) as runner:
        job = runner.submit(RUN, owner="A")
        ending = job.result(timeout_seconds=60)
        assert isinstance(ending, Finished)
        entry = studio.gallery.get(ending.records[0])
        films = Films(replace(studio, runner=runner))
        assert films.of(entry, "A") is film and films.tab(entry, "A") == "create"
        assert films.of(entry, "B") is None and films.tab(entry, "B") == ""


def test_a_stage_is_told_of_an_opened_film_as_of_a_job_that_has_ended(studio: Studio) -> None:
    source = studio.pictures.put(Image.new("RGB", (64, 64)))
    for before in (source, "0" * 64):
        entry = saved(studio, Fork(**RUN.model_dump(exclude={"kind"}), parent=RUN.model_dump(), step=1, source=before))
        value = opened_value(studio, entry, keep(studio, entry))
        assert (value["before"] is not None) == (before == source), "an upload that is gone is not compared with"
    assert (value["state"], value["seconds"], value["width"]) == ("finished", 1.3, 64)
    (picture,) = value["pictures"]
    assert picture["id"] == entry.id
    assert picture["film"] == {"count": 3, "enough": 3, "cells": [2, 2], "settled": [1, 2, 2, 3]}
