"""Kept films by the gallery picture that they belong to. No torch here: the page asks, the engine need not run."""

from __future__ import annotations

import logging
from pathlib import Path

from studio.engine.film_files import FilmFiles
from studio.engine.trajectories import film_name
from studio.errors import StudioError
from studio.events import Film
from studio.gallery.catalogue import Catalogue
from studio.gallery.entry import Entry
from studio.requests import Request

logger = logging.getLogger(__name__)


class FilmShelf:
    """The kept films in `folder`, by gallery entry: two pictures of one recipe and model share a film."""

    def __init__(self, folder: Path) -> None:
        self._files = FilmFiles(folder)

    def has(self, entry: Entry) -> bool:
        """Tell whether the film of `entry` is kept."""
        run = _run_of(entry)
        return run is not None and self._files.find(*run) is not None

    def film(self, entry: Entry) -> Film | None:
        """Return the kept film of `entry`; None where none is kept, or its file is damaged or has no strip inside."""
        run = _run_of(entry)
        return None if run is None else self._files.film(*run)

    def part(self, entry: Entry, gallery: Catalogue) -> None:
        """Delete the film of `entry`, which is being deleted for good, unless another picture has the same one."""
        run = _run_of(entry)
        if run is None or self._files.find(*run) is None:
            return
        name = film_name(*run)
        others = (_run_of(other) for other in gallery.alike(entry))
        if any(other is not None and film_name(*other) == name for other in others):
            return
        try:
            self._files.drop(*run)
        except OSError as error:
            logger.warning("the film of %s stays: %s", entry.id, error)

    def room(self) -> tuple[int, int]:
        """Return how many films are kept, and the bytes they take."""
        return self._files.room()


def _run_of(entry: Entry) -> tuple[Request, str] | None:
    """Return the request of this very picture and its model's checksum; None where the recipe does not say."""
    checksum = entry.recipe.facts.get("checksum")
    try:
        request = entry.recipe.single
    except StudioError:
        return None
    return (request, checksum) if isinstance(checksum, str) else None
