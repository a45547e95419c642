"""Who asks, and whose pictures they may see: what every route of the gallery begins with."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request

from studio.interop.a1111 import SCHEDULERS
from studio.ui.film_page.films import Films
from studio.ui.gallery_page import views
from studio.ui.session import Sessions
from studio.ui.studio import Studio

_NAMES_LAST_SECONDS = 10.0


class Access:
    """One session's view of a studio's gallery.

    Args:
        studio: Whose gallery it is.
        sessions: Tells browsers apart.
    """

    def __init__(self, studio: Studio, sessions: Sessions) -> None:
        self.studio, self._sessions = studio, sessions
        self.gallery, self.films = studio.gallery, Films(studio)
        self._names: tuple[float, dict[str, str]] = (-_NAMES_LAST_SECONDS, {})

    def session(self, request: Request) -> str:
        """Return who asks."""
        return self._sessions.of(request)

    def sees(self, request: Request) -> str | None:
        """Return whose pictures the asking session may see; None: everybody's."""
        return self.studio.sees(self.session(request))

    def entry(self, record: str, request: Request) -> Any:
        """Return a picture's entry; raises NoSuchPicture."""
        return self.gallery.get(record, owner=self.sees(request))

    def card(self, record: str, request: Request) -> dict[str, Any]:
        """Return everything the page shows of a picture; raises NoSuchPicture."""
        entry = self.entry(record, request)
        return views.card_value(entry, self.names(), film=self.films.tab(entry, self.session(request)))

    def names(self) -> dict[str, str]:
        """Return what the studio's models and schedulers are called, by id."""
        looked, names = self._names
        if time.monotonic() - looked < _NAMES_LAST_SECONDS:
            return names
        cards = self.studio.models()  # reads the checkpoint folders: not for every card
        named = {name: title for card in cards for name, title in [(card.id, card.title), *card.schedulers.items()]}
        names = {name: " ".join(words).strip() for name, words in SCHEDULERS.items()} | named
        self._names = (time.monotonic(), names)
        return names
