"""What the gallery page reads: shelves, cards, comparisons, families; only ever the pictures the session may see.

What is missing, malformed or somebody else's gets the same 404.
"""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from PIL import Image

from studio.errors import InvalidPicture
from studio.gallery.entry import NoSuchPicture
from studio.ui.canvas.routes import StudioRoute
from studio.ui.gallery_page import views
from studio.ui.gallery_page.access import Access

PAGE_LENGTH = 120
_INPUT_PIXELS = 320
_NEVER = {"cache-control": "no-store"}
_A_DAY = {"cache-control": "private, max-age=86400"}


def reading_routes(access: Access) -> APIRouter:
    """Return the routes that change nothing."""
    routes = APIRouter(prefix="/studio/gallery", route_class=StudioRoute, include_in_schema=False)
    _add_shelves(routes, access)
    _add_pictures(routes, access)
    return routes


def _add_shelves(routes: APIRouter, access: Access) -> None:
    gallery = access.gallery

    @routes.get("/pictures")
    def shelf(
        request: Request,
        before: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = PAGE_LENGTH,
        minutes_east: Annotated[int, Query(ge=-900, le=900)] = 0,
    ) -> Response:
        """A page of pictures, newest first; the filters are those of `views.filters_of`."""
        chosen = views.filters_of(request.query_params, minutes_east=minutes_east)
        page = gallery.page(before or None, limit, chosen, access.sees(request))
        shown = [views.shelf_item(entry) for entry in page.entries]
        return JSONResponse({"pictures": shown, "next": page.next}, headers=_NEVER)

    @routes.get("/count")
    def count(request: Request, minutes_east: Annotated[int, Query(ge=-900, le=900)] = 0) -> Response:
        """How many pictures the filters let through."""
        chosen = views.filters_of(request.query_params, minutes_east=minutes_east)
        return JSONResponse({"count": gallery.count(chosen, owner=access.sees(request))}, headers=_NEVER)

    @routes.get("/facets")
    def facets(request: Request) -> Response:
        """What there is to filter by."""
        owner, names = access.sees(request), access.names()
        there = gallery.facets(owner=owner)
        tabs = {views.tab_of(kind) for kind in there["kinds"]}
        films, taken = access.films.room() if owner is None else (0, 0)  # the studio's room on the disk, in all
        return JSONResponse(
            {
                "tabs": [tab for tab in views.TABS_OF_KINDS if tab in tabs],
                "models": [{"id": model, "title": names.get(model, model)} for model in there["models"]],
                "sizes": [f"{width}x{height}" for width, height in there["sizes"][:40]],
                "collections": [{"name": name, "count": n} for name, n in gallery.collections(owner=owner)],
                "films": {"count": films, "bytes": taken},
            },
            headers=_NEVER,
        )


def _add_pictures(routes: APIRouter, access: Access) -> None:
    gallery = access.gallery

    @routes.get("/pictures/{record}")
    def card(request: Request, record: str) -> Response:
        """Everything about one picture."""
        return JSONResponse(access.card(record, request), headers=_NEVER)

    @routes.get("/pictures/{record}/kin")
    def kin(request: Request, record: str) -> Response:
        """What a picture was made from, and what was made of it."""
        owner = access.sees(request)
        parents, children = gallery.parents(record, owner=owner), gallery.children(record, owner=owner)
        return JSONResponse(views.kin_value(record, parents, children), headers=_NEVER)

    @routes.get("/pictures/{record}/family")
    def family(request: Request, record: str) -> Response:
        """Where it comes from and what was made of it, across tabs."""
        tree = gallery.tree(record, owner=access.sees(request))
        return JSONResponse(views.tree_value(tree), headers=_NEVER)

    @routes.get("/pictures/{record}/inputs/{place}")
    def input_view(request: Request, record: str, place: int) -> Response:
        """A small view of the picture, mask or reference that a picture was made from."""
        parents = access.entry(record, request).recipe.parents
        if not 0 <= place < len(parents):
            raise NoSuchPicture
        try:
            image = access.studio.pictures.get(parents[place].ref)
        except InvalidPicture as error:
            raise NoSuchPicture from error
        return Response(_small(image), media_type="image/webp", headers=_A_DAY)

    @routes.get("/differences")
    def differences(request: Request, first: str, second: str) -> Response:
        """The settings that differ between two pictures."""
        a, b = access.entry(first, request), access.entry(second, request)
        return JSONResponse(views.differences(a, b, access.names()), headers=_NEVER)


def _small(image: Image.Image) -> bytes:
    image.thumbnail((_INPUT_PIXELS, _INPUT_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()
