"""Where the page finds a picture's film: with its job while that is remembered, else where it was kept."""

from __future__ import annotations

from studio.errors import StudioError
from studio.events import Film, Finished
from studio.film.shelf import FilmShelf
from studio.gallery.entry import Entry
from studio.ui.stream import stage_kind
from studio.ui.studio import Studio

_TABS = {"text_to_image": "create", "stylize": "style", "inpaint": "inpaint"}


class Films:
    """The films of a studio's pictures.

    Args:
        studio: Whose they are. Guests are shown the films of their own jobs alone: keeping is the owner's.
    """

    def __init__(self, studio: Studio) -> None:
        self._runner = studio.runner
        self._shelf = None if studio.for_guests else FilmShelf(studio.settings.films_dir)

    def of(self, entry: Entry, session: str) -> Film | None:
        """Return the film of `entry` as `session` may see it, or None."""
        film = self._of_job(entry, session)
        return self._shelf.film(entry) if film is None and self._shelf is not None else film

    def is_kept(self, entry: Entry) -> bool:
        """Tell whether the film of `entry` is kept, which it also is where its strip has to be drawn anew."""
        return self._shelf is not None and self._shelf.has(entry)

    def tab(self, entry: Entry, session: str) -> str:
        """Return the tab in which `session` can open the film of `entry`; "" where there is none to open."""
        if self._shelf is None or (self._of_job(entry, session) is None and not self._shelf.has(entry)):
            return ""
        return _TABS.get(stage_kind(entry.recipe.single), "")

    def room(self) -> tuple[int, int]:
        """Return how many films are kept, and the bytes they take."""
        return (0, 0) if self._shelf is None else self._shelf.room()

    def _of_job(self, entry: Entry, session: str) -> Film | None:
        try:
            ending = self._runner.find(entry.job, owner=session).ending
        except StudioError:
            return None
        if not isinstance(ending, Finished) or entry.id not in ending.records:
            return None
        films, place = ending.extras.get("films", ()), ending.records.index(entry.id)
        film: Film | None = films[place] if place < len(films) else None
        return film if film is not None and film.count > 1 else None
