"""The page's own routes: pictures by gallery id, the engine's status, and the page's scripts and texts.

A picture is found by its id and handed out only to whom it belongs; the client never names a path. What is
missing and what is somebody else's get the same 404.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from studio.errors import GalleryError
from studio.gallery.export import SUFFIXES, Format, rendered
from studio.provenance.marks import marks_of
from studio.ui import static_files
from studio.ui.session import Sessions
from studio.ui.studio import Studio
from studio.ui.texts import script

_FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
_NEVER = {"cache-control": "no-store"}


def router(studio: Studio, sessions: Sessions) -> APIRouter:
    """Return the routes of `studio`, all under /studio/."""
    routes, marks = APIRouter(prefix="/studio"), marks_of(studio.settings)

    def find(which: Callable[..., Any], record: str, request: Request) -> Path | None:
        try:
            return Path(which(record, owner=studio.sees(sessions.of(request))))
        except GalleryError:
            return None

    @routes.get("/pictures/{record}.png")
    def picture(record: str, request: Request, format: Format = "png") -> Response:
        """The gallery's own PNG with the recipe inside; `?download` gives a file to keep (`&format=` jpeg or webp).

        What is downloaded, and all that guests get, is a copy for others: no owner, no job; for guests no words either.
        """
        download = "download" in request.query_params
        if not download and not studio.for_guests:
            return _file(find(studio.gallery.path, record, request), "image/png")
        try:
            entry = studio.gallery.get(record, owner=studio.sees(sessions.of(request)))
            data = rendered(entry, format=format if download else "png", recipe=not studio.for_guests, marks=marks)
        except GalleryError:
            return _file(None, None)
        saved_as = {"content-disposition": f'attachment; filename="tessera-{record}{SUFFIXES[format]}"'}
        return Response(data, media_type=f"image/{format}", headers={**_FOREVER, **(saved_as if download else {})})

    @routes.get("/thumbnails/{record}")
    def thumbnail(record: str, request: Request) -> Response:
        path = find(studio.gallery.thumbnail, record, request)
        return _file(path, None)

    @routes.get("/status")
    def status() -> Response:
        now = studio.status()
        said = {"busy_with": now.busy_with, "notice": now.notice, "start": studio.start}
        return JSONResponse(said, headers=_NEVER)

    @routes.get("/texts.js")
    def texts() -> Response:
        return Response(script(), media_type="text/javascript", headers={"cache-control": "no-cache"})

    @routes.get("/static/{name:path}")
    def static(name: str) -> Response:
        path = static_files.find(name)
        if path is None:
            return PlainTextResponse("There is no such file.", 404)
        return FileResponse(path, media_type=static_files.TYPES[path.suffix], headers={"cache-control": "no-cache"})

    return routes


def _file(path: Path | None, media_type: str | None) -> Response:
    if path is None or not path.is_file():
        return PlainTextResponse("There is no such picture.", 404, headers=_NEVER)
    return FileResponse(path, media_type=media_type, headers=_FOREVER)
