"""The film of a gallery picture, opened in its tab as if its job had just ended."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.errors import GalleryError, StudioError
from studio.events import Failed, Film
from studio.gallery.entry import Entry
from studio.requests import KeepFilm
from studio.ui.desk import Desk
from studio.ui.film_page.films import Films
from studio.ui.sends import picture_id
from studio.ui.stream import StageValue, film_view, original, picture_url
from studio.ui.studio import Studio
from studio.ui.tabs.tab import Page


def opens_films(page: Page, desk: Desk) -> None:
    """Let the gallery open films on the stage of `desk`."""
    films = Films(page.studio)

    def take(picture: Any, request: gr.Request) -> list[Any]:
        entry, owner = page.entry(picture_id(picture), request), page.owner(request)
        film = films.of(entry, owner) or _drawn_anew(page.studio, films, entry, owner)
        return [opened_value(page.studio, entry, film), gr.Row(visible=True), None]

    outputs = [desk.stage, desk.actions, desk.notice]
    page.sends.open_way(f"film_{desk.tab}", tab=desk.tab, take=take, outputs=outputs)


def opened_value(studio: Studio, entry: Entry, film: Film) -> StageValue:
    """Return what a stage shows of `entry` with its film: the value of a job that has ended (`studio.ui.stream`)."""
    request = entry.recipe.single
    before = original(request)
    if before is not None and before["url"].rpartition("/")[2] not in studio.pictures:
        before = None  # the uploads that nothing names any more are deleted
    shown = {"id": entry.id, "seed": entry.seed, "url": picture_url(entry.id)}
    return {
        **{"job": f"film-{entry.id}", "opened": True, "stopping": False, "more": 0, "count": 1},
        **{"width": getattr(request, "width", 0), "height": getattr(request, "height", 0), "before": before},
        **{"state": "finished", "seconds": round(entry.recipe.facts.get("seconds", 0), 1), "chosen": 0, "file": ""},
        **{"notes": [], "notes_zh": [], "untouched": None},
        "pictures": [{**shown, "width": entry.width, "height": entry.height, "film": film_view(film)}],
    }


def _drawn_anew(studio: Studio, films: Films, entry: Entry, owner: str) -> Film:
    """Return the film of a run that was kept before strips were kept with it, or whose file is damaged.

    Raises:
        StudioError: There is none, or the run cannot be made again.
    """
    if films.is_kept(entry):
        keep = KeepFilm(parent=entry.recipe.single.model_dump(mode="json"))
        ending = studio.runner.submit(keep, owner=owner).result()
        if isinstance(ending, Failed):
            raise StudioError(ending.message, ending.hint)
    film = films.of(entry, owner)
    if film is None:
        raise GalleryError("The film of this picture is not kept any more.", "Make the picture again to see its steps.")
    return film
