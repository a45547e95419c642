"""A film's frames and timelapses, for the browser of whoever's job it was."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response

from studio.errors import StudioError
from studio.events import Finished
from studio.jobs import Queue

_HEADERS = {"cache-control": "private, max-age=31536000, immutable"}
_QUALITY = 92
_TYPES = {".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp"}


def film_routes(runner: Queue, owner_of: Callable[[Request], str], *, timelapses: Path) -> APIRouter:
    """Return the routes. A job is found by its id and its owner; the client never names a path.

    Args:
        timelapses: The only folder files are served from.
    """
    routes = APIRouter(prefix="/studio")

    def ended(job: str, request: Request) -> Finished | None:
        try:
            ending = runner.find(job, owner=owner_of(request)).ending
        except StudioError:
            return None
        return ending if isinstance(ending, Finished) else None

    @routes.get("/films/{job}/{place}.webp")
    def film(job: str, place: int, request: Request) -> Response:
        """All frames of one picture side by side."""
        ending = ended(job, request)
        films = ending.extras.get("films", ()) if ending else ()
        if not 0 <= place < len(films):
            return PlainTextResponse("There is no such film.", 404)
        frames = films[place].frames
        buffer, kind = io.BytesIO(), "webp" if frames.width <= _WEBP_SIDE else "jpeg"
        frames.save(buffer, kind, quality=_QUALITY)
        return Response(buffer.getvalue(), media_type=f"image/{kind}", headers=_HEADERS)

    @routes.get("/timelapses/{job}")
    def timelapse(job: str, request: Request) -> Response:
        """The file a timelapse job wrote."""
        ending = ended(job, request)
        path = Path(ending.extras.get("file", "")) if ending else Path()
        if path.parent != timelapses or not path.is_file():
            return PlainTextResponse("There is no such file.", 404)
        return FileResponse(path, media_type=_TYPES[path.suffix], filename=f"tessera-timelapse{path.suffix}")

    return routes


_WEBP_SIDE = 16383  # the format's limit
