"""What the gallery page changes: stars, notes, collections, the trash; a session's own pictures only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from studio.gallery.gallery import RETENTION_DAYS
from studio.ui.canvas.routes import StudioRoute
from studio.ui.gallery_page.access import Access

MAX_CHANGED = 5000  # pictures in one request

Ids = Annotated[list[str], Field(min_length=1, max_length=MAX_CHANGED)]
Name = Annotated[str, Field(max_length=1000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Some(_Body):
    ids: Ids


class _Star(_Some):
    on: bool


class _Collect(_Some):
    name: Name
    on: bool = True


class _Note(_Body):
    text: Annotated[str, Field(max_length=50_000)]


def changing_routes(access: Access, *, deletes: bool) -> APIRouter:
    """Return the routes that change marks.

    Args:
        deletes: Whether pictures may be deleted for good; guests can only put their own into the trash.
    """
    routes = APIRouter(prefix="/studio/gallery", route_class=StudioRoute, include_in_schema=False)
    gallery = access.gallery

    @routes.post("/star")
    def star(request: Request, body: _Star) -> Response:
        gallery.star(body.ids, body.on, owner=access.sees(request))
        return _done(len(body.ids))

    @routes.post("/collect")
    def collect(request: Request, body: _Collect) -> Response:
        """Put pictures into a collection, or take them out."""
        owner = access.sees(request)
        change = gallery.collect if body.on else gallery.uncollect
        change(body.ids, body.name, owner=owner)
        return _done(len(body.ids))

    @routes.post("/pictures/{record}/note")
    def note(request: Request, record: str, body: _Note) -> Response:
        entry = access.entry(record, request)
        gallery.note(entry.id, body.text, owner=access.sees(request))
        return JSONResponse(access.card(record, request))

    @routes.post("/trash")
    def trash(request: Request, body: _Some) -> Response:
        gallery.trash(body.ids, owner=access.sees(request))
        gallery.empty_trash()  # what has been there for the retention: a studio may run for months
        return _done(len(body.ids))

    @routes.post("/restore")
    def restore(request: Request, body: _Some) -> Response:
        gallery.restore(body.ids, owner=access.sees(request))
        return _done(len(body.ids))

    if deletes:

        @routes.post("/empty-trash")
        def empty_trash(request: Request) -> Response:
            """Delete what is in the trash, for good."""
            return _done(gallery.empty_trash(older_than_days=0, owner=access.sees(request)))

    return routes


def _done(count: int) -> Response:
    return JSONResponse({"count": count, "retention_days": RETENTION_DAYS})
