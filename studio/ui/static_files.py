"""The page's own scripts, styles and drawings: read from this package, served under /studio/static/."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PREFIX = "/studio/static/"
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


def find(name: str) -> Path | None:
    """Return the file called `name` ("page/stage.js", "canvas/surface.js"), or None when there is none to serve."""
    path = (FOLDER / name).resolve()
    return path if path.suffix in TYPES and path.is_relative_to(FOLDER) and path.is_file() else None


def read(name: str) -> str:
    """Return the text of the file called `name`."""
    return (FOLDER / name).read_text(encoding="utf-8")


def script_tags(*names: str) -> str:
    """Return script tags for a `gr.HTML(head=...)`; the address changes with the content, so nothing stale runs."""
    return "".join(f'<script src="{PREFIX}{name}?v={_version(name)}"></script>' for name in names)


@lru_cache(maxsize=64)
def _version(name: str) -> str:
    return sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
