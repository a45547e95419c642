"""The wells' routes: the shipped examples, and pictures of both examples and gallery as inputs by content hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from studio.errors import InvalidPicture
from studio.pictures import open_picture
from studio.settings import ROOT
from studio.ui.canvas.routes import SessionOf, StudioRoute
from studio.ui.studio import Studio


def example_files(folder: Path = ROOT / "assets" / "examples") -> dict[str, Path]:
    """Return the shipped example pictures by name ("style-woodblock")."""
    return {path.stem: path for path in sorted(folder.glob("*.jpg"))}


def well_routes(studio: Studio, session_of: SessionOf, *, examples: Mapping[str, Path] | None = None) -> APIRouter:
    """Return the routes; include them in the app before Gradio is mounted at "/"."""
    router = APIRouter(prefix="/studio", route_class=StudioRoute, include_in_schema=False)
    files = example_files() if examples is None else examples

    @router.post("/inputs/of/{record}")
    def take_record(request: Request, record: str) -> dict[str, Any]:
        """Make a gallery picture an input."""
        return _put(studio, studio.gallery.open(record, owner=studio.sees(session_of(request))))

    @router.get("/examples/{name}")
    def example(request: Request, name: str) -> Response:
        session_of(request)
        return FileResponse(_find(files, name), headers={"cache-control": "private, max-age=86400"})

    @router.post("/inputs/example/{name}")
    def take_example(request: Request, name: str) -> dict[str, Any]:
        """Make a shipped example an input."""
        session_of(request)
        return _put(studio, open_picture(_find(files, name)).image)

    return router


def _find(files: Mapping[str, Path], name: str) -> Path:
    if name not in files:
        raise InvalidPicture(f'There is no example "{name[:40]}".', f"There are {', '.join(files)}.")
    return files[name]


def _put(studio: Studio, image: Any) -> dict[str, Any]:
    return {"ref": studio.pictures.put(image), "width": image.width, "height": image.height, "notes": []}
