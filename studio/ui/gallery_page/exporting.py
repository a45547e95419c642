"""Pictures out of the gallery page: one file, a zip, or a web page; streamed, never written to the disk first.

A download is asked for in two steps: POST says what, and whether it can be had; the address in the answer is what
the browser downloads, so a refusal is a sentence on the page and never a broken file.
"""

from __future__ import annotations

import secrets
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from studio.errors import GalleryError, InvalidRequest
from studio.gallery.entry import Entry
from studio.gallery.export import SUFFIXES, Format, fill_zip, rendered, stream_zip
from studio.gallery.site import fill_site
from studio.provenance.marks import Marks, marks_of
from studio.ui.canvas.routes import StudioRoute
from studio.ui.gallery_page import views
from studio.ui.gallery_page.access import Access

MAX_CHOSEN = 5000  # pictures named one by one
_KEPT, _LASTS_SECONDS = 64, 600.0
_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_PRIVATE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Wanted(BaseModel):
    """What to export: named pictures, or everything that filters let through."""

    model_config = ConfigDict(extra="forbid")
    ids: list[str] = Field(default=[], max_length=MAX_CHOSEN)
    filters: dict[str, str] | None = None
    minutes_east: Annotated[int, Field(ge=-900, le=900)] = 0
    kind: Literal["zip", "site"] = "zip"
    format: Format = "png"
    recipe: bool = True
    title: str = Field("", max_length=200)


@dataclass(frozen=True, slots=True)
class _Ticket:
    session: str
    wanted: Wanted
    made: float = field(default_factory=time.monotonic)


class Tickets:
    """Downloads that were granted and not fetched yet; a session's own, for ten minutes."""

    def __init__(self) -> None:
        self._tickets: OrderedDict[str, _Ticket] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, session: str, wanted: Wanted) -> str:
        """Return the name of a new download."""
        name = secrets.token_urlsafe(18)
        with self._lock:
            self._tickets[name] = _Ticket(session, wanted)
            while len(self._tickets) > _KEPT:
                self._tickets.popitem(last=False)
        return name

    def redeem(self, name: str, session: str) -> Wanted:
        """Return what a download holds; raises GalleryError for one that is over, foreign or unknown."""
        with self._lock:
            ticket = self._tickets.get(name)
        if ticket is None or ticket.session != session or time.monotonic() - ticket.made > _LASTS_SECONDS:
            raise NoDownload("This download is over.", "Export the pictures again.")
        return ticket.wanted


class NoDownload(GalleryError):
    """An address that leads to no download any more."""

    status = 404


def exporting_routes(access: Access, *, most: int | None) -> APIRouter:
    """Return the routes for downloads.

    Args:
        most: Pictures in one export; None for no bound.
    """
    routes = APIRouter(prefix="/studio/gallery", route_class=StudioRoute, include_in_schema=False)
    gallery, tickets, marks = access.gallery, Tickets(), marks_of(access.studio.settings)

    def chosen(wanted: Wanted, request: Request) -> tuple[Iterable[Entry], int]:
        owner = access.sees(request)
        if wanted.filters is None:
            entries = gallery.entries(wanted.ids, owner=owner)
            return entries, len(entries)
        filters = views.filters_of(wanted.filters, minutes_east=wanted.minutes_east)
        return gallery.each(filters, owner=owner), gallery.count(filters, owner=owner)

    @routes.post("/exports")
    def ask(request: Request, wanted: Wanted) -> Response:
        """Say what to download; answers with the address."""
        count = chosen(wanted, request)[1]
        if not count:
            raise InvalidRequest("There is nothing to export.", "Choose some pictures first.")
        if most is not None and count > most:
            raise InvalidRequest(f"An export holds {most} pictures at most, not {count:,}.", "Choose fewer.")
        name = tickets.issue(access.session(request), wanted)
        return JSONResponse({"url": f"studio/gallery/exports/{name}", "count": count}, headers=_PRIVATE)

    @routes.get("/exports/{name}")
    def download(request: Request, name: str) -> Response:
        wanted = tickets.redeem(name, access.session(request))
        entries = chosen(wanted, request)[0]
        file = "gallery-web.zip" if wanted.kind == "site" else "gallery.zip"
        return StreamingResponse(
            stream_zip(partial(_fill, entries=entries, wanted=wanted, marks=marks)),
            media_type="application/zip",
            headers={**_PRIVATE, "content-disposition": f'attachment; filename="{file}"'},
        )

    @routes.get("/pictures/{record}/file")
    def single(request: Request, record: str, format: Format = "png", recipe: bool = True) -> Response:
        """One picture as a file for somebody else: no owner, no job, no path in it."""
        entry = access.entry(record, request)
        name = f"tessera-{entry.id}{SUFFIXES[format]}"
        headers = {**_PRIVATE, "content-disposition": f'attachment; filename="{name}"'}
        data = rendered(entry, format=format, recipe=recipe, marks=marks)
        return Response(data, media_type=_TYPES[format], headers=headers)

    return routes


def _fill(archive: zipfile.ZipFile, *, entries: Iterable[Entry], wanted: Wanted, marks: Marks) -> Iterator[str]:
    format, recipe = wanted.format, wanted.recipe
    if wanted.kind == "site":
        title = wanted.title.strip() or "Gallery"
        return fill_site(archive, entries, title=title, format=format, recipe=recipe, marks=marks, left_out=[])
    return fill_zip(archive, entries, format=format, recipe=recipe, marks=marks, left_out=[])
