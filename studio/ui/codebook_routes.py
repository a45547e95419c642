"""The Codebook tab's routes below /studio/codes: the page's scripts call them directly, one request per brush dab.

An edit answers in bytes that a script can draw at once: the length of a JSON head (uint32, little endian), the head
(see `change_bytes`), then the patch as RGB rows.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from studio.codebook.answers import Change, Opened
from studio.codebook.choices import Corpus, Order
from studio.errors import InvalidRequest, StudioError
from studio.events import Failed, Finished
from studio.jobs import Queue
from studio.ui.canvas.routes import Pictures, SessionOf, StudioRoute, png_response, private_headers
from studio.ui.codebook_service import CodebookService
from studio.ui.draw_routes import draw_routes

KEEPING_SECONDS = 600

Ref: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name: TypeAlias = Annotated[str, Field(max_length=200)]
Indices: TypeAlias = Annotated[list[int], Field(max_length=300_000)]
GalleryPicture: TypeAlias = Callable[[str, str], Image.Image]
TheDesk: TypeAlias = Callable[[], CodebookService]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Open(_Body):
    """What to put on the desk: one of input (content hash), example, record (gallery id), text or start."""

    model: Name = ""
    side: int = Field(0, ge=0, le=1024)
    input: Ref | None = None
    example: Name | None = None
    record: Name | None = None
    text: str | None = Field(None, max_length=500_000)
    start: str | None = Field(None, max_length=500_000)
    operations: list[dict[str, Any]] = Field(default_factory=list, max_length=10_000)


class Dab(_Body):
    """A brush's touch: flat cells, and a code for each."""

    cells: Indices
    codes: Indices


class Operate(_Body):
    """One operation as a dict with its "kind"."""

    operation: dict[str, Any]


class FilmOrder(_Body):
    """What animation to make; `input` is the second picture of a morph."""

    kind: Literal["smooth", "stepped", "dissolve", "grow"] = "smooth"
    frames: int = Field(24, ge=2, le=120)
    file: Literal["mp4", "gif", "webp"] = "mp4"
    input: Ref | None = None


class MaskOrder(_Body):
    """Which tokens to mark (None: the edited ones), and how many tokens around them."""

    cells: Indices | None = None
    ring: int = Field(1, ge=0, le=8)


def codebook_routes(
    desk: TheDesk,
    *,
    pictures: Pictures,
    session_of: SessionOf,
    gallery_picture: GalleryPicture,
    runner: Queue,
) -> APIRouter:
    """Return the routes; include them in the app before Gradio is mounted at "/".

    Args:
        desk: Returns the service, waiting for it to be ready: the page is up before torch is.
        pictures: Where uploads lie, and where masks go, by content hash.
        gallery_picture: (session, record id) -> picture; raises GalleryError for what the session may not see.
        runner: Makes and records the exact picture that is kept in the gallery.
    """
    router = APIRouter(prefix="/studio/codes", route_class=StudioRoute, include_in_schema=False)
    router.include_router(draw_routes(desk, session_of=session_of, runner=runner), prefix="/draw")
    _opening(router, desk, pictures, session_of, gallery_picture)
    _editing(router, desk, session_of)
    _atlas(router, desk, session_of)
    _taking_along(router, desk, pictures, session_of)

    @router.post("/{document}/keep")
    def keep(request: Request, document: str) -> dict[str, Any]:
        """Make the exact picture through the job runner, which records it with its recipe; returns its gallery id."""
        session = session_of(request)
        job = runner.submit(desk().request(session, document), owner=session)
        ending = job.result(timeout_seconds=KEEPING_SECONDS)
        if isinstance(ending, Failed):
            raise StudioError(ending.message, ending.hint)
        if not isinstance(ending, Finished) or not ending.records:
            raise StudioError("The picture was not kept: the job was stopped.", "Try again.")
        return {"record": ending.records[0]}

    return router


def _opening(
    router: APIRouter,
    desk: TheDesk,
    pictures: Pictures,
    session_of: SessionOf,
    gallery_picture: GalleryPicture,
) -> None:
    @router.get("/desk")
    def describe(request: Request) -> dict[str, Any]:
        session_of(request)
        models = [{"id": it.id, "title": it.title, "has_prior": it.has_prior} for it in desk().models()]
        return {"models": models, "examples": list(desk().examples())}

    @router.get("/examples/{name}")
    def example(request: Request, name: str, size: Annotated[int, Query(ge=16, le=1024)] = 128) -> Response:
        session_of(request)
        picture = desk().example(name).convert("RGB")
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
        return png_response(picture)

    @router.post("/open")
    def open_(request: Request, asked: Open) -> dict[str, Any]:
        session, model = session_of(request), asked.model
        if asked.start is not None:
            source = None
            if asked.input is not None and asked.input in pictures:
                source = pictures.get(asked.input)
            reopened = desk().reopen(
                session, asked.start, asked.operations, model=model, source=source, ref=asked.input if source else None
            )
            return opened_json(reopened, source=asked.input if source else None)
        if asked.text is not None:
            return opened_json(desk().open_text(session, asked.text, model=model), source=None)
        if asked.input is not None:
            picture, ref = pictures.get(asked.input), asked.input
        elif asked.example is not None:
            picture = desk().example(asked.example)
            ref = pictures.put(picture)
        elif asked.record is not None:
            picture = gallery_picture(session, asked.record)
            ref = pictures.put(picture)
        else:
            raise InvalidRequest("There is nothing to open.", "Choose a picture.")
        return opened_json(desk().open_picture(session, picture, model=model, side=asked.side, ref=ref), source=ref)


def _editing(router: APIRouter, desk: TheDesk, session_of: SessionOf) -> None:
    @router.post("/{document}/dab")
    def dab(request: Request, document: str, touch: Dab) -> Response:
        return change_response(desk().dab(session_of(request), document, touch.cells, codes=touch.codes))

    @router.post("/{document}/do")
    def do(request: Request, document: str, asked: Operate) -> Response:
        return change_response(desk().do(session_of(request), document, asked.operation))

    @router.post("/{document}/undo")
    def undo(request: Request, document: str) -> Response:
        return change_response(desk().undo(session_of(request), document))

    @router.post("/{document}/redo")
    def redo(request: Request, document: str) -> Response:
        return change_response(desk().redo(session_of(request), document))

    @router.post("/{document}/settle")
    def settle(request: Request, document: str) -> Response:
        return change_response(desk().settle(session_of(request), document))

    @router.get("/{document}/view/{name}")
    def view(request: Request, document: str, name: str) -> Response:
        return png_response(desk().view(session_of(request), document, name))


def _atlas(router: APIRouter, desk: TheDesk, session_of: SessionOf) -> None:
    @router.get("/atlas/sprite.png")
    def sprite(request: Request, model: str = "") -> Response:
        session_of(request)
        return png_response(desk().sprite(model))

    @router.get("/atlas/page")
    def page(
        request: Request,
        model: str = "",
        order: Order = "similarity",
        dead: bool = False,
        columns: Annotated[int, Query(ge=0, le=256)] = 0,
        corpus: Corpus = "examples",
    ) -> dict[str, Any]:
        session = session_of(request)
        found = desk().atlas(model, order=order, dead=dead, columns=columns, corpus=corpus, session=session)
        return {
            "cells": found.cells.tolist(),
            "sprite_columns": found.sprite_columns,
            "cell": found.cell,
            "rgb": base64.b64encode(found.rgb.tobytes()).decode("ascii"),
            "counts": None if found.counts is None else found.counts.tolist(),
            "said": found.said,
        }

    @router.get("/atlas/near")
    def near(request: Request, rgb: Annotated[str, Query(pattern=r"^[0-9a-fA-F]{6}$")], model: str = "") -> list[int]:
        session_of(request)
        red, green, blue = bytes.fromhex(rgb)
        return desk().near_colour(model, (red, green, blue))

    @router.get("/atlas/card/{code}")
    def card(request: Request, code: int, model: str = "", document: str = "") -> dict[str, Any]:
        found = desk().card(session_of(request), model, code, document=document)
        return {name: getattr(found, name) for name in found.__slots__}

    @router.get("/atlas/places/{code}")
    def places(request: Request, code: int, model: str = "") -> list[dict[str, Any]]:
        found = desk().places(session_of(request), model, code)
        return [{"record": place.record, "tokens": place.tokens, "share": place.share} for place in found]


def _taking_along(router: APIRouter, desk: TheDesk, pictures: Pictures, session_of: SessionOf) -> None:
    @router.get("/{document}/share")
    def share(request: Request, document: str) -> dict[str, str]:
        return {"text": desk().share(session_of(request), document)}

    @router.get("/{document}/palette")
    def palette(request: Request, document: str) -> dict[str, Any]:
        return desk().palette(session_of(request), document)

    @router.get("/palette/{ref}")
    def palette_of(request: Request, ref: str, model: str = "") -> dict[str, Any]:
        session_of(request)
        return desk().palette_of(pictures.get(ref), model=model)

    @router.get("/{document}/meter")
    def meter(request: Request, document: str) -> dict[str, Any]:
        return finite(desk().meter(session_of(request), document))

    @router.post("/{document}/film")
    def film(request: Request, document: str, asked: FilmOrder) -> Response:
        other = pictures.get(asked.input) if asked.input else None
        made = desk().film(
            session_of(request), document, kind=asked.kind, frames=asked.frames, file=asked.file, other=other
        )
        headers = {**private_headers(), "X-Name": made.name}
        return Response(made.data, media_type=made.media_type, headers=headers)

    @router.post("/{document}/mask")
    def mask(request: Request, document: str, asked: MaskOrder) -> dict[str, str]:
        """Store the exact picture and the mask of its edited tokens as inputs; returns their content hashes."""
        picture, marked = desk().mask(session_of(request), document, cells=asked.cells, ring=asked.ring)
        return {"source": pictures.put(picture), "mask": pictures.put(marked)}


def opened_json(opened: Opened, *, source: str | None) -> dict[str, Any]:
    """Return an opened picture for the page; `source` is the content hash of what it was opened from."""
    rows, columns = opened.codes.shape
    return {
        "document": opened.document,
        "model": opened.model,
        "checksum": opened.checksum,
        "rows": rows,
        "columns": columns,
        "codes": base64.b64encode(np.ascontiguousarray(opened.codes, "<i4").tobytes()).decode("ascii"),
        "width": opened.size[0],
        "height": opened.size[1],
        "factor": opened.factor,
        "codebook_size": opened.codebook_size,
        "start": opened.start,
        "source": source,
        "has_source": opened.has_source,
        "can_undo": opened.can_undo,
        "notes": list(opened.notes),
    }


def finite(value: Any) -> Any:
    """Return `value` with infinities as None: JSON has none (the PSNR of two equal pictures is infinite)."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def change_response(change: Change) -> Response:
    """Answer with `change_bytes`."""
    return Response(change_bytes(change), media_type="application/octet-stream", headers=private_headers())


def change_bytes(change: Change) -> bytes:
    """Return a change as bytes: uint32 length of the head, JSON head, RGB rows of the patch (none without one)."""
    image = change.image.convert("RGB") if change.image is not None else None
    head = {
        "cells": change.cells.tolist(),
        "codes": change.codes.tolist(),
        "box": [change.left, change.top, image.width, image.height] if image else None,
        "exact": change.exact,
        "operation": change.operation,
        "can_undo": change.can_undo,
        "can_redo": change.can_redo,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    return struct.pack("<I", len(text)) + text + (image.tobytes() if image else b"")
