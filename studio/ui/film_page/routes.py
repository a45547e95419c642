"""A picture's film and a job's timelapse, for the browser of whoever may see them."""

from __future__ import annotations

import io
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response

from studio.errors import StudioError
from studio.events import Film, Finished
from studio.ui.film_page.films import Films
from studio.ui.session import Sessions
from studio.ui.studio import Studio

_HEADERS = {"cache-control": "private, max-age=31536000, immutable"}
_QUALITY = 92
_TYPES = {".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp"}
_WEBP_SIDE = 16383  # the format's limit


def film_routes(studio: Studio, sessions: Sessions) -> APIRouter:
    """Return the routes. A film is found by its gallery picture, a timelapse by its job; no client names a path."""
    routes, films = APIRouter(prefix="/studio"), Films(studio)
    timelapses = studio.settings.cache_dir / "timelapses"  # the only folder that files are served from

    def film_of(record: str, session: str) -> Film | None:
        try:
            return films.of(studio.gallery.get(record, owner=studio.sees(session)), session)
        except StudioError:
            return None

    @routes.get("/films/{record}.webp")
    def film(record: str, request: Request) -> Response:
        """All frames of one picture's run side by side."""
        found = film_of(record, sessions.of(request))
        if found is None:
            return PlainTextResponse("There is no such film.", 404)
        buffer, kind = io.BytesIO(), "webp" if found.frames.width <= _WEBP_SIDE else "jpeg"
        found.frames.save(buffer, kind, quality=_QUALITY)
        return Response(buffer.getvalue(), media_type=f"image/{kind}", headers=_HEADERS)

    @routes.get("/timelapses/{job}")
    def timelapse(job: str, request: Request) -> Response:
        """The file a timelapse job wrote."""
        try:
            ending = studio.runner.find(job, owner=sessions.of(request)).ending
        except StudioError:
            ending = None
        path = Path(ending.extras.get("file", "")) if isinstance(ending, Finished) else Path()
        if path.parent != timelapses or not path.is_file():
            return PlainTextResponse("There is no such file.", 404)
        return FileResponse(path, media_type=_TYPES[path.suffix], filename=f"tessera-timelapse{path.suffix}")

    return routes
