"""Pictures into the gallery page, from files of this or another studio; the owner's alone.

A file comes in pieces small enough for every gate in front of the page; the last one is answered line by line (JSON)
with what became of each picture.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from studio import atomic
from studio.errors import InvalidRequest, StudioError
from studio.gallery.archive import Limits
from studio.gallery.importing import Outcome, each_picture
from studio.gallery.space import admit
from studio.pictures import PICTURE_SUFFIXES
from studio.ui.canvas.routes import StudioRoute, read_body
from studio.ui.error_texts import told
from studio.ui.gallery_page import views
from studio.ui.gallery_page.access import Access

PIECE_BYTES = 8 * 2**20
_LIMITS = Limits()
_STALE_SECONDS = 24 * 3600.0
_TOKEN = r"^[0-9a-f]{32}$"


def importing_routes(access: Access, *, folder: Path) -> APIRouter:
    """Return the route that takes files in.

    Args:
        folder: Where a file waits until it is whole; emptied of what was left behind.
    """
    routes = APIRouter(prefix="/studio/gallery", route_class=StudioRoute, include_in_schema=False)

    @routes.post("/import")
    async def take_in(
        request: Request,
        name: Annotated[str, Query(max_length=1000)],
        size: Annotated[int, Query(ge=1)],
        offset: Annotated[int, Query(ge=0)] = 0,
        upload: Annotated[str, Query(pattern=_TOKEN)] = "",
    ) -> Response:
        """Take a piece of a file; the last one imports it."""
        suffix = _suffix(name, size)
        data = await read_body(request, PIECE_BYTES)
        upload = upload or secrets.token_hex(16)
        part = folder / f"import-{upload}{suffix}"
        received = await run_in_threadpool(_append, part, data, offset=offset, size=size)
        if received < size:
            return JSONResponse({"upload": upload, "received": received})
        lines = _import(access, part, name=name, owner=access.session(request), among=access.sees(request))
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"cache-control": "no-store"})

    return routes


def _suffix(name: str, size: int) -> str:
    suffix = Path(name).suffix.lower()
    shown = "".join(c for c in Path(name).name if c.isprintable())[:80]
    if suffix != ".zip" and suffix not in PICTURE_SUFFIXES:
        raise InvalidRequest(f'"{shown}" is neither a picture nor a zip.', "Choose PNG, JPEG, WebP or zip files.")
    most = _LIMITS.total_bytes if suffix == ".zip" else _LIMITS.entry_bytes
    if size > most:
        raise InvalidRequest(f'"{shown}" is larger than {most // 2**20:,} MB.', "Import it in parts.")
    return suffix


def _append(part: Path, data: bytes, *, offset: int, size: int) -> int:
    """Write one piece at its place; returns how much of the file is there."""
    atomic.make_folder(part.parent)
    if offset == 0:
        _sweep(part.parent)
        admit(part.parent, size)
    there = part.stat().st_size if part.exists() else 0
    if offset != there or there + len(data) > size or not data:
        part.unlink(missing_ok=True)
        raise InvalidRequest("The file did not arrive whole.", "Import it again.")
    try:
        with part.open("ab") as file:
            file.write(data)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise atomic.disk_error(error, part.parent) from error
    return there + len(data)


def _sweep(folder: Path) -> None:
    """Delete what an interrupted import left behind."""
    for left in folder.glob("import-*"):
        if time.time() - left.stat().st_mtime > _STALE_SECONDS:
            left.unlink(missing_ok=True)


def _import(access: Access, part: Path, *, name: str, owner: str, among: str | None) -> Iterator[str]:
    names = access.names()
    try:
        label = Path(name.replace("\\", "/")).name
        models = {card.id: "" for card in access.studio.models()}  # known by name: other studios' hashes are of files
        for outcome in each_picture(access.gallery, part, owner=owner, name=label, among=among, models=models):
            yield json.dumps(_line(outcome, names)) + "\n"
    except StudioError as error:
        yield json.dumps({"error": told(error.message, error.hint)}) + "\n"
    finally:
        part.unlink(missing_ok=True)


def _line(outcome: Outcome, names: views.Names) -> dict[str, Any]:
    told = {"name": outcome.name, "is_new": outcome.is_new, "why": outcome.why, "notes": list(outcome.notes)}
    return {**told, "picture": views.card_value(outcome.entry, names) if outcome.entry else None}
