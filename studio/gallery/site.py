"""A gallery for the web: a zip with one HTML page, its pictures, and nothing from anywhere else.

The page needs no script: a picture opens through its address (`#p3`). Every text is escaped, and a content
security policy allows the page its own pictures and style, so even a mistake here could run nothing.
"""

from __future__ import annotations

import html
import io
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from string import Template

from PIL import Image

from studio.gallery.entry import Entry
from studio.gallery.export import Format, file_name, rendered, writing_zip

THUMBNAIL_PIXELS = 480

_TILE = Template('<a class="tile" href="#p$number"><img loading="lazy" src="$thumbnail" alt="$prompt"></a>')
_VIEW = Template(
    '<figure class="view" id="p$number"><a class="close" href="#" aria-label="Close"></a>'
    '<img loading="lazy" src="$picture" alt="$prompt"><figcaption><p>$prompt</p>$details'
    '<nav><a href="#p$before">Previous</a><a href="$picture" download>Download</a><a href="#p$after">Next</a></nav>'
    "</figcaption></figure>"
)


def export_site(
    entries: Iterable[Entry], target: Path, *, title: str = "Gallery", format: Format = "webp", recipe: bool = True
) -> int:
    """Write a self-contained static gallery (`index.html`, `pictures/`, `thumbnails/`) as a zip; return how many.

    Args:
        entries: In the order to show.
        target: The zip file; replaced when it exists.
        title: The page's title, any text.
        format: Of the full-size pictures.
        recipe: Show prompts and settings, and keep them inside the pictures.

    Raises:
        GalleryError: A picture is gone, or the target cannot be written; no file is left.
    """
    chosen = list(entries)
    with writing_zip(target) as archive:
        names = [file_name(number, entry, format) for number, entry in enumerate(chosen, start=1)]
        for name, entry in zip(names, chosen, strict=True):
            data = rendered(entry, format=format, recipe=recipe)
            archive.writestr(f"pictures/{name}", data)
            archive.writestr(f"thumbnails/{Path(name).stem}.webp", _thumbnail(data))
        archive.writestr("index.html", page(chosen, names, title=title, recipe=recipe))
    return len(chosen)


def page(entries: list[Entry], names: list[str], *, title: str, recipe: bool) -> str:
    """Return the page's HTML."""
    tiles, views = [], []
    for place, (entry, name) in enumerate(zip(entries, names, strict=True)):
        values = {
            "number": str(place + 1),
            "before": str((place - 1) % len(entries) + 1),
            "after": str((place + 1) % len(entries) + 1),
            "picture": f"pictures/{name}",
            "thumbnail": f"thumbnails/{Path(name).stem}.webp",
            "prompt": _escaped(entry.prompt) if recipe else "",
            "details": _details(entry) if recipe else "",
        }
        tiles.append(_TILE.substitute(values))
        views.append(_VIEW.substitute(values))
    template = Template((files("studio.gallery") / "site.html").read_text(encoding="utf-8"))
    return template.substitute(title=_escaped(title), tiles="\n".join(tiles), views="\n".join(views))


def _details(entry: Entry) -> str:
    seed = "" if entry.seed is None else f"seed {entry.seed}"
    parts = [entry.model, f"{entry.width} × {entry.height}", seed, f"{entry.created:%Y-%m-%d}"]
    return f"<p class=details>{' · '.join(_escaped(part) for part in parts if part)}</p>"


def _escaped(text: str) -> str:
    return html.escape("".join(c for c in text if c.isprintable() or c in "\n\t"), quote=True)


def _thumbnail(data: bytes) -> bytes:
    """Small, and without the metadata of the large one."""
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.copy()
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    Image.frombytes(image.mode, image.size, image.tobytes()).save(buffer, "WEBP", quality=82, method=4)
    return buffer.getvalue()
