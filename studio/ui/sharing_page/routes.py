"""The owner's routes for a share; the guests' application has none of them."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from studio.ui.canvas.routes import StudioRoute

_NEVER = {"cache-control": "no-store"}


class Shows(Protocol):
    """The read-only gallery links (`studio.sharing.shows.Shows`)."""

    def add(self, collection: str, *, recipes: bool = False) -> object: ...

    def remove(self, show_id: str, /) -> bool: ...


class Switch(Protocol):
    """What opens and ends the guests' studio (`studio.share.Sharing`)."""

    @property
    def shows(self) -> Shows: ...

    def open(self, *, public: bool, network: bool) -> object: ...

    def end(self) -> None: ...

    def end_guest(self, guest_id: str, /) -> bool: ...

    def state(self) -> dict[str, Any]: ...

    def qr(self, kind: str, /) -> bytes | None: ...


class Doors(BaseModel):
    """Where guests may come from."""

    model_config = ConfigDict(extra="forbid")
    public: bool = False
    network: bool = False


class NewShow(BaseModel):
    """A gallery link to make."""

    model_config = ConfigDict(extra="forbid")
    collection: Annotated[str, Field(min_length=1, max_length=120)]
    recipes: bool = False


def share_routes(switch: Switch) -> APIRouter:
    """Return the routes, all under /studio/share; each answers with the share's state."""
    routes = APIRouter(prefix="/studio/share", route_class=StudioRoute, include_in_schema=False)

    def state() -> Response:
        return JSONResponse(switch.state(), headers=_NEVER)

    @routes.get("")
    def look() -> Response:
        return state()

    @routes.post("")
    def open_(doors: Doors) -> Response:
        switch.open(public=doors.public, network=doors.network)
        return state()

    @routes.delete("")
    def end() -> Response:
        switch.end()
        return state()

    @routes.delete("/guests/{guest}")
    def end_guest(guest: str) -> Response:
        switch.end_guest(guest)
        return state()

    @routes.post("/shows")
    def add_show(show: NewShow) -> Response:
        switch.shows.add(show.collection, recipes=show.recipes)
        return state()

    @routes.delete("/shows/{show}")
    def remove_show(show: str) -> Response:
        switch.shows.remove(show)
        return state()

    @routes.get("/qr/{kind}.svg")
    def qr(kind: str) -> Response:
        drawn = switch.qr(kind)
        if drawn is None:
            return PlainTextResponse("There is no such link.", 404, headers=_NEVER)
        return Response(drawn, media_type="image/svg+xml", headers=_NEVER)

    return routes
