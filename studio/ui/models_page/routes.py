"""The Models tab's routes, for the studio's owner alone: a share's page has none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from studio.library.desk import ModelsDesk
from studio.library.downloads import State
from studio.library.hub import NameOneFile, Plan
from studio.library.shelf import Item, parts_of, whole_of
from studio.library.sums import changed
from studio.ui.canvas.routes import StudioRoute

Text = Annotated[str, Field(max_length=1000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Repo(_Body):
    repo: Text
    revision: Text = "main"
    file: Text = ""
    variant: Annotated[str, Field(pattern=r"^[a-z0-9_]{0,20}$")] = "fp16"


class _Path(_Body):
    path: Text
    link: bool = False


class _Item(_Body):
    id: Text
    kind: Text


class _Id(_Body):
    id: Text


def models_routes(desk: ModelsDesk) -> APIRouter:
    """Return the routes, all under /studio/models."""
    routes = APIRouter(prefix="/studio/models", route_class=StudioRoute, include_in_schema=False)
    _add_shelf(routes, desk)
    _add_downloads(routes, desk)
    return routes


def _add_shelf(routes: APIRouter, desk: ModelsDesk) -> None:
    @routes.get("")
    def shelf() -> Response:
        """Everything on the shelf, the downloads, and the room there is."""
        items = desk.shelf.items()
        return JSONResponse({
            "items": [{**item_value(item), **standing_value(item, items)} for item in items],
            "downloads": [download_value(state) for state in desk.downloads.states()],
            "folder": str(desk.folder),
            "free_bytes": desk.free_bytes(),
        })  # fmt: skip

    @routes.post("/add")
    def add(body: _Path) -> Response:
        """Copy a file or folder of this machine to the studio's own, or link to it."""
        return JSONResponse(item_value(desk.shelf.add(Path(body.path.strip().strip('"')), link=body.link)))

    @routes.post("/remove")
    def remove(body: _Item) -> Response:
        """Delete an item of the studio's own folder."""
        desk.shelf.remove(desk.shelf.find(body.id, body.kind))
        return JSONResponse({})

    @routes.post("/check")
    def check(body: _Item) -> Response:
        """An item's SHA-256, and which of its files are not as they came (null: it came without checksums)."""
        item = desk.shelf.find(body.id, body.kind)
        return JSONResponse({"checksum": desk.shelf.checksum(item), "changed": changed(item)})


def _add_downloads(routes: APIRouter, desk: ModelsDesk) -> None:
    @routes.get("/downloads")
    def downloads() -> Response:
        """The downloads alone: asked every second while one runs."""
        return JSONResponse({"downloads": [download_value(state) for state in desk.downloads.states()]})

    @routes.post("/look")
    def look(body: _Repo) -> Response:
        """What a repository would bring; or the files of which one must be named."""
        try:
            plan = desk.look(body.repo, revision=body.revision, file=body.file, variant=body.variant)
        except NameOneFile as error:
            return JSONResponse({"files": list(error.files)})
        return JSONResponse(plan_value(plan, desk.free_bytes()))

    @routes.post("/download")
    def download(body: _Repo) -> Response:
        """Begin a download, or find it running."""
        state = desk.download(body.repo, revision=body.revision, file=body.file, variant=body.variant)
        return JSONResponse(download_value(state))

    @routes.post("/stop")
    def stop(body: _Id) -> Response:
        """Stop a download; what has arrived is kept."""
        desk.downloads.stop(body.id)
        return JSONResponse({})

    @routes.post("/discard")
    def discard(body: _Id) -> Response:
        """Delete what has arrived of a download that is over."""
        desk.downloads.discard(body.id)
        return JSONResponse({})


def item_value(item: Item) -> dict[str, Any]:
    """Return what the page shows of an item; `words` is what calls it up in a prompt."""
    words = {"lora": f"<lora:{item.id}:0.8>", "embedding": item.id}.get(item.kind, "")
    return {**item.as_dict(), "base_title": item.base_title, "is_own": item.is_own, "words": words}


def standing_value(item: Item, items: Sequence[Item]) -> dict[str, Any]:
    """Return what else goes with an item when it is deleted, how much that is, and whether it stands alone."""
    parts = parts_of(item, items)
    same = [part.bytes for part in parts if part.path == item.path]
    return {
        "parts": sorted({part.name for part in parts} - {item.name}),
        "bytes_with_parts": item.bytes + sum(same),
        "is_own": item.is_own and whole_of(item, items) is None,
    }


def plan_value(plan: Plan, free_bytes: int) -> dict[str, Any]:
    """Return what the page shows of a plan."""
    return {
        "repo": plan.repo,
        "revision": plan.revision,
        "count": len(plan.files),
        "bytes": plan.bytes,
        "licence": plan.licence,
        "is_gated": plan.is_gated,
        "free_bytes": free_bytes,
    }


def download_value(state: State) -> dict[str, Any]:
    """Return what the page shows of a download."""
    return {**asdict(state), "is_over": state.is_over}
