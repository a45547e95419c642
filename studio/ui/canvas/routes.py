"""The canvas's routes: pictures go in and out below /studio/inputs, by content hash.

Every picture route asks `session_of` who is calling; it raises when the caller has no session. A content hash
is a capability of its own: it cannot be guessed without having the picture.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, Protocol, TypeAlias
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from PIL import Image
from starlette.concurrency import run_in_threadpool

from studio.errors import InvalidPicture, StudioError
from studio.pictures import open_picture
from studio.ui.canvas.masks import as_mask, over_black
from studio.ui.error_texts import told

MAX_UPLOAD_BYTES = 64 * 2**20
SessionOf: TypeAlias = Callable[[Request], str]
Side: TypeAlias = Annotated[int, Query(ge=1, le=32_768)]
PictureRef: TypeAlias = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$")]


class Pictures(Protocol):
    """Where inputs are kept under the hash of their pixels (`studio.pictures.PictureStore`)."""

    def put(self, image: Image.Image, /) -> str:
        """Store a picture and return its hash."""
        ...

    def get(self, ref: str, /) -> Image.Image:
        """Return the picture; raises InvalidPicture when it is not there."""
        ...

    def __contains__(self, ref: object, /) -> bool: ...


class StudioRoute(APIRoute):
    """Answers a StudioError as 422 {message, hint, zh} (404 for a picture that is not there)."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except StudioError as error:
                status = getattr(error, "status", 422)
                return JSONResponse(told(error.message, error.hint), status_code=status)

        return handle_or_explain


class PictureGone(InvalidPicture):
    """A picture this session does not hold, or no longer holds."""

    status = 404


def canvas_routes(pictures: Pictures, session_of: SessionOf) -> APIRouter:
    """Return the routes; include them in the app before Gradio is mounted at "/"."""
    router = APIRouter(prefix="/studio", route_class=StudioRoute, include_in_schema=False)

    @router.post("/inputs")
    async def put(request: Request, purpose: Literal["picture", "mask"] = "picture") -> dict[str, object]:
        session_of(request)
        data = await read_body(request)
        return await run_in_threadpool(_take_in, pictures, data, purpose)

    @router.get("/inputs/{ref}")
    def read(request: Request, ref: PictureRef) -> Response:
        session_of(request)
        return png_response(_stored(pictures, ref))

    @router.get("/inputs/{ref}/mask")
    def read_as_mask(request: Request, ref: PictureRef, width: Side, height: Side) -> Response:
        session_of(request)
        data, note = as_mask(_stored(pictures, ref), width, height=height)
        headers = {**private_headers(), "X-Note": quote(note)}
        return Response(data, media_type="application/octet-stream", headers=headers)

    return router


def png_response(image: Image.Image) -> Response:
    """Answer with `image` as a PNG, exactly; written for speed, not size."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return Response(buffer.getvalue(), media_type="image/png", headers=private_headers())


def _take_in(pictures: Pictures, data: bytes, purpose: str) -> dict[str, object]:
    opened = open_picture(data)
    image = over_black(opened.image) if purpose == "mask" else opened.image
    return {"ref": pictures.put(image), "width": image.width, "height": image.height, "notes": opened.notes}


def _stored(pictures: Pictures, ref: str) -> Image.Image:
    if ref not in pictures:
        raise PictureGone("The picture this needs is not here any more.", "Choose it again.")
    return pictures.get(ref)


def private_headers() -> dict[str, str]:
    """Headers of answers that belong to one session."""
    return {"Cache-Control": "private, max-age=0", "X-Content-Type-Options": "nosniff"}


async def read_body(request: Request, limit: int = MAX_UPLOAD_BYTES) -> bytes:
    """Return the body, refusing more than `limit` bytes as they arrive.

    Raises:
        InvalidPicture: The body is too large, or not declared as bytes (which a foreign page's form cannot do).
    """
    if request.headers.get("content-type", "").split(";")[0] != "application/octet-stream":
        raise InvalidPicture("Pictures are sent as application/octet-stream.")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise InvalidPicture(f"The file is larger than {limit // 2**20} MiB.", "Save it smaller and try again.")
        parts.append(part)
    return b"".join(parts)
