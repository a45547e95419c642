"""A gallery for the web: a zip with one HTML page, its pictures, and nothing from anywhere else.

The page needs no script: a picture opens through its address (`#p3`). Every text is escaped, and a content
security policy allows the page its own pictures and style, so even a mistake here could run nothing.
"""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from PIL import Image

from studio.gallery.entry import Entry
from studio.gallery.export import Format, rendered_files, write_left_out, writing_zip
from studio.pictures import FORMATS
from studio.provenance.marks import NO_MARKS, Marks

THUMBNAIL_PIXELS = 480

_TILE = Template('<a class="tile" href="#p$number"><img loading="lazy" src="$thumbnail" alt="$prompt"></a>')
_VIEW = Template(
    '<figure class="view" id="p$number"><a class="close" href="#" aria-label="Close"></a>'
    '<img loading="lazy" src="$picture" alt="$prompt"><figcaption><p>$prompt</p>$details'
    '<nav><a href="#p$before">Previous</a><a href="$picture" download>Download</a><a href="#p$after">Next</a></nav>'
    "</figcaption></figure>"
)


def export_site(
    entries: Iterable[Entry],
    target: Path,
    *,
    title: str = "Gallery",
    format: Format = "webp",
    recipe: bool = True,
    marks: Marks = NO_MARKS,
) -> int:
    """Write a self-contained static gallery (`index.html`, `pictures/`, `thumbnails/`) as a zip; return how many.

    Args:
        entries: In the order to show.
        target: The zip file; replaced when it exists.
        title: The page's title, any text.
        format: Of the full-size pictures.
        recipe: Show prompts and settings, and keep them inside the pictures.
        marks: Further marks of AI origin; see `export.rendered`.

    Raises:
        GalleryError: A picture is gone, or the target cannot be written; no file is left.
    """
    with writing_zip(target) as archive:
        return sum(1 for _ in fill_site(archive, entries, title=title, format=format, recipe=recipe, marks=marks))


def fill_site(
    archive: zipfile.ZipFile,
    entries: Iterable[Entry],
    *,
    title: str,
    format: Format = "webp",
    recipe: bool = True,
    marks: Marks = NO_MARKS,
    left_out: list[str] | None = None,
) -> Iterator[str]:
    """Write the gallery into an open zip, its page last; yields each picture's name once it is written.

    Args:
        left_out: As for `export.fill_zip`.
    """
    names, written = [], []
    for name, entry, data in rendered_files(entries, format=format, recipe=recipe, marks=marks, left_out=left_out):
        archive.writestr(f"pictures/{name}", data)
        archive.writestr(f"thumbnails/{Path(name).stem}.webp", _thumbnail(data))
        names.append(name)
        written.append(entry)
        yield name
    archive.writestr("index.html", page(written, names, title=title, recipe=recipe))
    write_left_out(archive, left_out)


def page(entries: Sequence[Entry], names: Sequence[str], *, title: str, recipe: bool) -> str:
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
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        image = opened.copy()
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    Image.frombytes(image.mode, image.size, image.tobytes()).save(buffer, "WEBP", quality=82, method=4)
    return buffer.getvalue()
