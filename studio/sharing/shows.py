"""Shows: read-only links to collections. Who has the link can look and download, and nothing else.

A show is an id of 128 random bits and the name of a collection. Its pictures leave without prompt and settings
unless the show says otherwise. The app below has three routes and no idea of the rest of the studio.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from studio.atomic import write_atomically
from studio.errors import GalleryError, SettingsError
from studio.gallery.catalogue import Catalogue
from studio.gallery.entry import Entry, Filters
from studio.gallery.site import page

PREFIX = "/show"
MOST_PICTURES = 500
_MOST_SHOWS = 100
_KEPT_RENDERINGS = 64

Render = Callable[[Entry, bool], bytes]


@dataclass(frozen=True, slots=True)
class Show:
    """One read-only link: `id` is its secret, `recipes` whether prompts and settings are shown and kept in files."""

    id: str
    collection: str
    recipes: bool = False

    @property
    def path(self) -> str:
        """Where it is, below the guests' address."""
        return f"{PREFIX}/{self.id}/"


class Shows:
    """The shows there are, kept in a file; safe for all threads.

    Args:
        path: A JSON file, made with the first show.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._guard = path, threading.Lock()

    def all(self) -> list[Show]:
        """Return the shows, oldest first; raises SettingsError when the file cannot be read."""
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            return [Show(str(it["id"]), str(it["collection"]), bool(it["recipes"])) for it in stored]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"{self._path.name} cannot be read: {error}.", "Mend or delete it.") from error

    def add(self, collection: str, *, recipes: bool = False) -> Show:
        """Make a link to `collection`, or return the one there is; raises SettingsError when there are too many."""
        with self._guard:
            shows = self.all()
            for show in shows:
                if (show.collection, show.recipes) == (collection, recipes):
                    return show
            if len(shows) >= _MOST_SHOWS:
                raise SettingsError(f"There are {len(shows)} gallery links already.", "Remove one.")
            made = Show(secrets.token_urlsafe(16), collection, recipes)
            self._write([*shows, made])
        return made

    def remove(self, show_id: str) -> bool:
        """Make a link worth nothing; tell whether there was one."""
        with self._guard:
            shows = self.all()
            left = [show for show in shows if show.id != show_id]
            if len(left) < len(shows):
                self._write(left)
        return len(left) < len(shows)

    def find(self, show_id: str) -> Show | None:
        """Return the show with this id."""
        wanted = show_id.encode("utf-8", "replace")
        return next((show for show in self.all() if secrets.compare_digest(show.id.encode(), wanted)), None)

    def _write(self, shows: list[Show]) -> None:
        write_atomically(self._path, json.dumps([asdict(show) for show in shows], indent=1).encode())


def show_app(shows: Shows, gallery: Catalogue, render: Render) -> Starlette:
    """Return the app behind the links.

    Args:
        gallery: Where the pictures are.
        render: (entry, with recipe) -> a WebP file for somebody else.
    """
    rendered = lru_cache(maxsize=_KEPT_RENDERINGS)(lambda entry_id, recipe: render(gallery.get(entry_id), recipe))

    def pictures_of(show: Show) -> list[Entry]:
        return list(gallery.page(None, MOST_PICTURES, Filters(collection=show.collection)).entries)

    def shown(request: Request, name: str) -> tuple[Show, Entry] | None:
        show = shows.find(request.path_params["show"])
        if show is None:
            return None
        try:
            entry = gallery.get(name)
        except GalleryError:
            return None
        return (show, entry) if show.collection in entry.collections and not entry.trashed else None

    def look(request: Request) -> Response:
        show = shows.find(request.path_params["show"])
        if show is None:
            return _gone()
        entries = pictures_of(show)
        names = [f"{entry.id}.webp" for entry in entries]
        return HTMLResponse(page(entries, names, title=show.collection, recipe=show.recipes), headers=_NEVER)

    async def picture(request: Request) -> Response:
        found = await run_in_threadpool(shown, request, request.path_params["name"])
        if found is None:
            return _gone()
        data = await run_in_threadpool(rendered, found[1].id, found[0].recipes)
        name = f"tessera-{found[1].id[-8:]}.webp"
        return Response(
            data, media_type="image/webp", headers={**_AN_HOUR, "content-disposition": f"inline; filename={name}"}
        )

    def thumbnail(request: Request) -> Response:
        found = shown(request, request.path_params["name"])
        if found is None:
            return _gone()
        return FileResponse(gallery.thumbnail(found[1].id), media_type="image/webp", headers=_AN_HOUR)

    def slash(request: Request) -> Response:
        return RedirectResponse(f"{PREFIX}/{request.path_params['show']}/", 308)

    here = PREFIX + "/{show:str}"
    return Starlette(
        routes=[
            Route(f"{here}/", look, methods=["GET"]),
            Route(here, slash, methods=["GET"]),
            Route(f"{here}/pictures/{{name:str}}.webp", picture, methods=["GET"]),
            Route(f"{here}/thumbnails/{{name:str}}.webp", thumbnail, methods=["GET"]),
        ]
    )


_NEVER: dict[str, Any] = {"cache-control": "no-store"}
_AN_HOUR: dict[str, Any] = {"cache-control": "private, max-age=3600"}


def _gone() -> Response:
    return PlainTextResponse("There is nothing here. The link may have been taken back.", 404, headers=_NEVER)
